// Blocks: which part of a network's addresses this node may give. A network without block documents has one node only
// and all of its subnets belong to it; one with blocks gives only what its node's blocks hold.
// Cost: 1 system call where a network has no blocks; else one document to read. Other nodes' documents cost nothing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "ipam/pool.h"
#include "state/block_record.h"
#include "state/paths.h"

namespace fairlead::ipam {

struct OwnBlocks {
  std::string node;
  std::vector<Prefix> blocks;  // in the order in which they are used; may be empty
};
// nullopt: the network has no blocks. An Error when this node's document is bad: what it may give is not guessed.
Result<std::optional<OwnBlocks>> own_blocks(const Paths& paths, std::string_view network);

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
