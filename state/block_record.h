// Which blocks of a network's subnets are which node's.
//
// One document per network and node, not per block: who gives addresses reads its own one, however many blocks others
// have, and every document keeps one writer (docs/decisions/0026-block-documents.md).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/json.h"
#include "base/result.h"
#include "state/records.h"

namespace fairlead {

// state/blocks/NETWORK/NODE.json. Writer: the cluster's managers, or the operator. A network without any such document
// is this node's as a whole, unless the node is in a cluster.
struct NodeBlocks {
  std::string network;
  std::string node;
  std::vector<Prefix> blocks;  // inside the network's subnets, no two overlap; in the order in which they are used
  uint32_t number = 0;         // the member's; 0: written by hand. Who takes the name over later does not own them
  // "soon": less is free than should be, "now": a container waits; of addresses no manager had. Others give theirs
  // back.
  std::string wants4, wants6;
  std::vector<Prefix> giving;  // on their way back, no longer in blocks; only in the node's own file
  // Parts of blocks that another node, which the map names, uses as well: neither gives an address of them. Only in a
  // cluster's store, which was put back from a copy.
  std::map<Prefix, std::string> disputed;
  std::string extra;

  const std::string& wants(int family) const;
  std::string& wants(int family);
};
Result<NodeBlocks> decode_node_blocks(const Json& json, const std::string& source);
std::string encode(const NodeBlocks& blocks);

// The prefix length of the blocks a subnet of the network is divided into: the network's blockSize or blockSize6, else
// a sixteenth of the subnet, 4 to 64 addresses (so /26 from a /22 on), for IPv6 up to a /112.
unsigned block_length(const Network& network, const Prefix& subnet);
// The network's document with the two lengths in it; 0: none. Refused: one that no block of the subnet can have.
Result<void> set_block_lengths(Network& network, uint32_t length4, uint32_t length6);
Result<void> check_block_lengths(const Network& network);

}  // namespace fairlead
