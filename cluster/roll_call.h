// Nobody gets a block before everybody has told what he has: what a manager does when it starts, because the store it
// finds may be an older copy that somebody put back. A member that never saw the newer one could be given what another
// has (docs/decisions/0046-roll-call.md).
//
//   cluster/roll-call   {"id", "restored", "fronts":[…], "waiting":[NODE…]}: who has not told since. There while the
//                       roll is called; fronts: the starts of managers that wait for its end; restored: it is certain
//                       that the store went back
//   cluster/lineage     {"id"}: of the roll call that ended last. With another one, what a member knows of the store
//   may
//                       be of another past, whatever its revision
//
// A front is closed from before its etcd starts until a roll call that names it has ended: when all members have told,
// were evicted, or are away (kAwayMs, unless restored). A front that is open has seen the store all the time: it ends
// the roll call of one that has just started, unless restored.
//
// Threads: close() and tend() the front's keeper; the rest any. Failure: it stays closed.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "cluster/etcd_client.h"
#include "cluster/feed.h"
#include "cluster/pki.h"

namespace fairlead::cluster {

inline constexpr const char* kRollCall = "cluster/roll-call";
inline constexpr const char* kLineage = "cluster/lineage";

struct RollCallDocument {
  std::string id;  // a new one whenever all have to tell again
  bool restored = false;
  std::vector<std::string> fronts, waiting;
};
std::string encode(const RollCallDocument& call);
Result<RollCallDocument> decode_roll_call(const std::string& text);

class RollCall {
 public:
  // How long a member without lease is waited for, and any member at all.
  static constexpr int64_t kAwayMs = 30000, kSilentMs = 300000;

  // seen: how far this node has ever seen the store.
  RollCall(const EtcdClient& etcd, const Feed& feed, std::function<int64_t()> seen);

  // etcd is about to be started: nothing is known of its store.
  void close();
  // The store was made just now.
  Result<void> begin();
  Result<void> tend(int64_t now_ms);
  // Whether members may see the store: this front's roll call is in what they will be given, or has ended.
  bool announced() const;
  bool is_open() const;

  // Some member has seen a later store than this one.
  Result<void> note_restored();
  // The node has told all its own, to the roll call of this id.
  void told(const Identity& who, const std::string& id);
  // What claims wait for; nullopt: nothing. Adds the compare that it is still so when the claim is made.
  Result<std::optional<RollCallDocument>> waiting(std::vector<EtcdCompare>& unchanged) const;
  // Under what a follower may go on from a revision; empty: under nothing, it begins again.
  std::string lineage() const;

 private:
  struct State {
    std::string run;  // of this start
    bool called = false, open = false;
    bool operator==(const State&) const = default;
  };
  State state() const;
  Result<bool> write(const std::optional<EtcdDocument>& stored, const RollCallDocument& call, bool went_back);
  Result<void> call(const std::optional<EtcdDocument>& stored, std::optional<RollCallDocument> before, int64_t now_ms);
  Result<void> end(const EtcdDocument& stored, const std::string& lineage);
  Result<void> reduce(const EtcdDocument& stored, RollCallDocument call, int64_t now_ms);
  Result<std::vector<std::string>> members() const;
  bool is_waited_for(const std::string& name, const RollCallDocument& call, int64_t waited_ms) const;

  const EtcdClient& etcd_;
  const Feed& feed_;
  std::function<int64_t()> seen_;
  mutable std::mutex mutex_;
  State state_;
  std::string told_to_;         // a roll call, by id
  std::set<std::string> told_;  // who has told to it, here
  std::string since_id_;        // the keeper's
  int64_t since_ms_ = 0;        // the keeper's: when that roll call was first seen here
};

}  // namespace fairlead::cluster
