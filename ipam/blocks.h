// Blocks: which part of a network's addresses this node may give. A network without block documents has one node only
// and all of its subnets belong to it; one with blocks gives only what its node's blocks hold. In a cluster a network
// of the cluster always has blocks: a node without one gives no address. Cost: 2 system calls where a network has no
// blocks; else one document to read. Other nodes' documents cost nothing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "ipam/pool.h"
#include "state/block_record.h"
#include "state/paths.h"
#include "state/records.h"

namespace fairlead::ipam {

struct OwnBlocks {
  std::string node;
  std::vector<Prefix> blocks;  // in the order in which they are used; may be empty
  bool claimed = false;        // by fairlead-agent of the cluster's managers: more may come
};
// nullopt: the network has no blocks. An Error when this node's document is bad: what it may give is not guessed.
// known: the network's document, when the caller has read it.
Result<std::optional<OwnBlocks>> own_blocks(const Paths& paths, std::string_view network,
                                            const Network* known = nullptr);

// What own_blocks() depends on, as a text that changes with it; 5 system calls. Who took an address looks whether it
// still is what it was when the blocks were read: fairlead-agent, which gives back what nobody uses, writes the blocks
// first and looks for leases then, and of the two at least one sees the other.
std::string blocks_state(const Paths& paths, std::string_view network);

// ADD and fairlead-agent (agent/block_keeper.h) about a network whose blocks are used up or not there yet:
// ADD marks that it waits; the agent says what is in the way.
void want_block(const Paths& paths, std::string_view network);
void want_no_block(const Paths& paths, std::string_view network);
std::string wanted_path(const Paths& paths, std::string_view network);
std::string trouble_path(const Paths& paths, std::string_view network);
std::string trouble_of(const Paths& paths, std::string_view network);  // empty: nothing is in the way
// Until blocks_state() is not `before`; false when it stayed so for ms.
bool wait_for_blocks(const Paths& paths, std::string_view network, const std::string& before, int ms);

// What every node has, for listings and messages, by node. problems (may be nullptr): one line per bad document.
Result<std::vector<NodeBlocks>> all_blocks(const Paths& paths, std::string_view network,
                                           std::vector<std::string>* problems);
// The block that holds an address, and whose it is; nullopt when none does. Reads the documents of all nodes.
struct BlockOfNode {
  std::string node;
  Prefix block;
};
std::optional<BlockOfNode> block_of(const Paths& paths, std::string_view network, const Address& address);

// Cuts every range down to what the blocks hold of it; a set may be empty afterwards. From then on a set uses one
// block up before it takes the next.
void restrict_to(std::vector<RangeSet>& sets, const std::vector<Prefix>& blocks);

}  // namespace fairlead::ipam
