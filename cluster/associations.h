// Which security association with which key between this node and each other one, and when: pure, no clock, no kernel.
//
// Per ordered pair of nodes and without any phase all nodes would have to be in (docs/encryption.md, "Exchange"):
//   1. a sender that needs an association draws an instance and offers it ("send");
//   2. the receiver draws an SPI and a nonce, puts the inbound association into its kernel, and only then tells of it
//      ("receive");
//   3. the sender puts the outbound one into its kernel, pins its policies to that SPI, and tells of it ("sending");
//   4. the receiver takes the others away, a moment later.
// Promises: a key is a function of what both sides drew for this one installation, so that none is ever installed twice
// for sending: not after a restart, not when documents come late, twice or in another order. What vanished from the
// kernel is replaced by a new instance, never put back. A sender switches to what the receiver has in its kernel.
// A new epoch, a used up association, a jump of the clock mean a new instance. What is in use stays in use meanwhile,
// except after a jump of the clock, when it may have been used already.
//
// Use: adopt() what was written down, once; then again and again plan(), execute, failed() for what could not be done,
// removals(), execute, write documents() down. Threads: one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cluster/association_key.h"
#include "cluster/key_documents.h"

namespace fairlead::cluster {

// In which form a node sends: kAuto is plain ESP (IP protocol 50) where that arrives, else in UDP.
enum class Encapsulation : uint8_t { kAuto, kUdp, kNone };

struct AssociationFacts {
  struct Peer {
    std::string key;                          // fingerprint of its seal key
    std::optional<AssociationDocument> told;  // what it says about the two of us
    // In the kernel now, by SPI. Outbound: whether it has been used up to its soft limit.
    std::map<uint32_t, bool> outbound;
    std::map<uint32_t, uint64_t> inbound;  // packets that arrived
  };
  int64_t now_ms = 0;  // of a clock that never goes back
  std::string self;
  std::string key;                  // fingerprint of this node's seal key
  std::vector<std::string> epochs;  // that there are, newest first; empty: not known now
  std::set<std::string> open;       // those whose secret this node has
  std::map<std::string, Peer> peers;
  bool clock_jumped = false;  // this machine may be the copy of one that went on
  Encapsulation encapsulation = Encapsulation::kAuto;
  uint16_t udp = 0;  // the port at which this node takes ESP in UDP; 0: it cannot
};

struct AssociationWork {
  enum What { kAddInbound, kAddOutbound, kRemoveInbound, kRemoveOutbound } what = kAddInbound;
  std::string peer;
  AssociationName name;  // of removals only the SPI
  uint16_t udp = 0;      // in UDP, to this port of the receiver; 0: plain ESP
};

class Associations {
 public:
  // How long what is not in use any more stays: packets on the way, and those other CPUs just encrypt.
  static constexpr int64_t kGraceMs = 2000;
  // How long an association of an epoch that is gone stays in use when the other node does not come along.
  static constexpr int64_t kGoneEpochMs = 600000;
  // Probes may be on the way as long after the document that tells of them.
  static constexpr int64_t kAnswerMs = 400;
  // After so many rounds of which nothing arrived, the other form is tried; between rounds a pause that doubles with
  // every change.
  static constexpr unsigned kMissedRounds = 3;
  static constexpr int64_t kPauseMs = 300, kLongestPauseMs = 5000;

  // random: that many random bytes.
  explicit Associations(std::function<std::string(size_t)> random) : random_(std::move(random)) {}

  // What this node had written down about a peer before it was started.
  void adopt(const AssociationDocument& own);
  // What to put into the kernel, inbound first.
  std::vector<AssociationWork> plan(const AssociationFacts& facts);
  // It could not be put there.
  void failed(const AssociationWork& work);
  // After plan(), with its facts and when the policies are set: the peers to send a round of probes to, now.
  std::vector<std::string> probes(const AssociationFacts& facts);
  // After plan(), with its facts: what is in the kernel and has to go.
  std::vector<AssociationWork> removals(const AssociationFacts& facts);

  const std::map<std::string, AssociationDocument>& documents() const { return documents_; }
  uint32_t sending(const std::string& peer) const;  // SPI the policies are pinned to; 0: no policy

  // What is known of the way to a peer.
  struct Path {
    bool arrives = false;  // it has said so of what is in use
    unsigned missed = 0;   // rounds of probes with it that did not arrive
    unsigned changes = 0;  // of the form, since something arrived the last time
    friend bool operator==(const Path&, const Path&) = default;
  };
  Path path(const std::string& peer) const;

 private:
  struct Inbound {
    int64_t unwanted_ms = -1;  // since when; -1: wanted
    int64_t gone_ms = -1;      // since when its epoch is not listed
    uint64_t counted = 0;      // packets, at the last answer
    uint32_t heard = 0;        // round of probes that is to be answered
    int64_t heard_ms = 0;
  };
  struct Probe {
    uint32_t spi = 0;      // what it is about
    bool sent = false;     // with this one
    uint32_t counted = 0;  // the last round that was looked at
    int64_t next_ms = 0;
  };
  struct Pair {
    bool settled = false;     // the offer is this process's, or what was installed for it is known
    std::set<uint32_t> used;  // SPIs installed for the offer
    bool adopted = false;     // it is of an earlier process: what else was installed for it is not known
    uint32_t before = 0;      // what was in use before this plan
    std::string sending_epoch;
    int64_t sending_gone_ms = -1;
    std::map<uint32_t, Inbound> inbound;
    std::map<uint32_t, int64_t> retired;  // outbound, not in use any more: when to go
    bool in_udp = false;                  // the form to send in
    Probe probe;
    Path path;
    void watch(uint32_t spi) {
      probe = {spi, false, 0, 0};
      path.arrives = false;
      path.missed = 0;
    }
  };
  void plan_peer(const AssociationFacts& facts, const std::string& name, const AssociationFacts::Peer& peer,
                 std::vector<AssociationWork>& work);
  void forget_lost(const AssociationFacts& facts, const AssociationFacts::Peer& peer, AssociationDocument& own,
                   Pair& pair);
  void settle(const AssociationFacts::Peer& peer, AssociationDocument& own, Pair& pair);
  void receive(const AssociationFacts& facts, const AssociationDocument* told, AssociationDocument& own, Pair& pair,
               std::vector<AssociationWork>& work);
  void answer(const AssociationFacts& facts, const AssociationDocument* told, const AssociationFacts::Peer& peer,
              AssociationDocument& own, Pair& pair);
  void judge(const AssociationFacts& facts, const AssociationDocument* told, const AssociationDocument& own,
             Pair& pair);
  void offer(const AssociationFacts& facts, const AssociationDocument* told, const AssociationFacts::Peer& peer,
             AssociationDocument& own, Pair& pair);
  void send(const AssociationFacts& facts, const AssociationDocument* told, AssociationDocument& own, Pair& pair,
            std::vector<AssociationWork>& work);
  uint32_t draw_spi(const AssociationFacts& facts);

  std::function<std::string(size_t)> random_;
  std::map<std::string, AssociationDocument> documents_;  // by peer
  std::map<std::string, Pair> pairs_;
};

}  // namespace fairlead::cluster
