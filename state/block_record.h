// Which blocks of a network's subnets are which node's.
//
// One document per network and node, not per block: who gives addresses reads its own one, however many blocks others
// have, and every document keeps one writer (docs/decisions/0026-block-documents.md).
#pragma once

#include <string>
#include <vector>

#include "base/ip.h"
#include "base/json.h"
#include "base/result.h"

namespace fairlead {

// state/blocks/NETWORK/NODE.json. Writer: the cluster's managers, or the operator. A network without any such document
// is this node's as a whole.
struct NodeBlocks {
  std::string network;
  std::string node;
  std::vector<Prefix> blocks;  // inside the network's subnets, no two overlap; in the order in which they are used
  std::string extra;
};
Result<NodeBlocks> decode_node_blocks(const Json& json, const std::string& source);
std::string encode(const NodeBlocks& blocks);

}  // namespace fairlead
