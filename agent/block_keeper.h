// This node's address blocks in a cluster: claimed ahead of need, given back when nobody uses them, told again when the
// managers' store has forgotten them; and this node's own file state/blocks/NETWORK/NODE.json, which is what ADDs go
// by.
//
// Promise: the file never holds more than what the store says is this node's, or said last. What is given back leaves
// the file first; then leases are looked for; then the managers are asked: an ADD looks at the file again when it has
// its lease (ipam/blocks.h), so of the two at least one gives way. Killed anywhere, the next start goes on from the
// file
// ("giving" in it).
// Threading: one of its own. The managers may be away: nothing changes then but what is used.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "cluster/member.h"
#include "state/block_record.h"
#include "state/paths.h"

namespace fairlead::agent {

class BlockKeeper {
 public:
  // spare: how long a block has to be without a lease before it is given back; one is always kept. member must outlive
  // it.
  BlockKeeper(Paths paths, cluster::Membership self, cluster::Member& member, std::chrono::milliseconds spare);
  ~BlockKeeper();
  BlockKeeper(const BlockKeeper&) = delete;
  BlockKeeper& operator=(const BlockKeeper&) = delete;

 private:
  struct Family {
    int64_t size = 0, free = 0;
    bool need = false, urgent = false;
  };
  struct Entry {
    Network network;
    std::vector<Prefix> stored;      // this node's, as the store has it
    std::string wants4, wants6;      // this node's, as the store has it
    std::string asked4, asked6;      // the most urgent of the others
    std::optional<NodeBlocks> file;  // as written last
    std::string text;                // of that file
    std::string leases;              // what the folder of leases was like when it was listed
    std::vector<Address> used;
    std::string wanted;  // what ADD's mark was like
    int64_t listed_ms = 0, endpoints_ms = 0, ask_ms = 0, look_ms = 0;
    std::vector<Address> of_endpoints;
    std::map<Prefix, int64_t> empty_since;
    std::string trouble;
    std::map<Prefix, std::string> disputed;  // parts of stored that another node, named there, uses as well
    bool disputing = false;                  // the store has a dispute of ours with another's blocks
    bool pending = false;                    // the managers have not heard of all that is untold
    std::vector<std::string> refused;        // what they said is another's

    std::vector<Prefix> usable() const;  // stored without what is being given back or disputed
  };

  void pass();
  void reload();
  void take_network(Entry& entry, Network network);
  void load_file(Entry& entry);
  void remove_own(const std::string& network);
  void remove_all_own(bool known_ones, const std::string& why);
  Result<void> tend(Entry& entry, bool can_ask);
  Result<void> list_used(Entry& entry, bool everything);
  Result<void> write_file(Entry& entry, std::vector<Prefix> blocks, std::vector<Prefix> giving);
  Family count(const Entry& entry, const Prefix& subnet) const;
  std::vector<std::string> untold(const Entry& entry) const;
  std::string overlap(const Entry& entry);
  std::optional<Prefix> spare_part(Entry& entry);
  Result<void> give(Entry& entry, const Prefix& part);
  Result<void> ask(Entry& entry, const Json& more);
  void tell();
  void tell_while_held();
  Result<void> tell_blocks(Entry& entry);
  Result<Json> ask_managers(const Json& request);
  Result<void> take_refused(Entry& entry, const Json& answer, std::string& trouble);
  Result<void> adopt(Entry& entry);
  static std::string dispute_of(const Entry& entry);
  std::optional<Prefix> conceded_part(const Entry& entry) const;
  void say(Entry& entry, const std::string& trouble);

  Paths paths_;
  cluster::Membership self_;
  cluster::Member& member_;
  int64_t spare_ms_;
  int64_t seen_ = 0;
  bool loaded_ = false;
  std::string told_;
  bool calling_ = false;  // the roll is called (cluster/roll_call.h)
  std::string awaited_;   // its id while the managers wait for what this node has
  std::string told_to_;   // the last one that was told, and when
  int64_t told_ms_ = 0, held_ms_ = 0;
  int64_t snapshots_ = 0;
  std::map<std::string, Entry> entries_;  // by network
  std::set<std::string> networks_;        // that the cluster has, broken documents among them
  // While there is something to ask: one connection for all networks.
  std::optional<cluster::ManagerClient::Connection> managers_;
  int64_t asked_ms_ = 0;
  int64_t prefixes_ms_ = 0;
  std::vector<std::pair<Prefix, std::string>> host_;  // what the host reaches by itself
  cluster::StopSignal stop_;
  std::thread thread_;
};

}  // namespace fairlead::agent
