// A network between nodes, computed from documents: which other nodes there are and which blocks of its subnets are
// theirs. Pure. What it means for this node's router: overlay/mesh_plan.h.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "state/node_record.h"
#include "state/records.h"

namespace fairlead::overlay {

inline constexpr const char* kOverlayLink = "vx";  // in the router

struct Peer {
  std::string node;
  uint32_t number = 0;
  Address underlay;
  std::vector<Prefix> blocks;  // of this network
  friend bool operator==(const Peer&, const Peer&) = default;
};

// One network's view of the cluster from one node.
struct Mesh {
  uint32_t number = 0;  // of this node
  Address underlay;     // this node's
  std::vector<Peer> peers;
  bool divided = false;  // some node has a block of the network; else each takes the whole subnet for its own
  // Names of nodes that cannot be peers: their underlay is of the other family, or they have this node's number.
  std::vector<std::string> unreachable;
  friend bool operator==(const Mesh&, const Mesh&) = default;
};

// What VXLAN packets of the network are sent from and to: the underlay, or with WireGuard the addresses of the devices.
Address tunnel_address(const Network& network, uint32_t number, const Address& underlay);

// (node, block)
using Blocks = std::vector<std::pair<std::string, Prefix>>;

// nullopt: self is no node of a cluster (no document of that name). Blocks outside the network's subnets are left out.
std::optional<Mesh> make_mesh(const Network& network, const std::string& self, const std::vector<Node>& nodes,
                              const Blocks& blocks);

// A router's MAC and its addresses on the overlay: 169.254.128.0 + number, fd57:128:: + number. Nobody else's: there is
// no neighbour discovery there.
Mac node_mac(uint32_t number);
Address node_address(int family, uint32_t number);

}  // namespace fairlead::overlay
