// What networks with `encryption: wireguard` need of the host: one WireGuard device with a peer per node. Pure.
//
// Such a network's VXLAN packets go between addresses that exist on these devices only (wireguard_address). Each peer
// may send from its own address and no other, so that who sent is known by key and not by what the packet says. Nothing
// can leave around the device: its addresses are routed to it alone, with an unreachable route behind, and a local
// address that is gone with the device makes the kernel refuse the packet before that. The host's rules say the same
// once more (overlay/host_rules.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernel/wireguard.h"
#include "overlay/difference.h"

namespace fairlead::overlay {

inline constexpr const char* kWireguardLink = "fl-wg";  // on the host
inline constexpr uint16_t kWireguardPort = 4792;        // UDP, unless the node's document says another
inline constexpr uint32_t kWireguardOverhead = 60;      // IPv4 20, UDP 8, WireGuard 16 and its tag 16

// A node's address on its device: 169.254.128.0 + number, but for those 512 numbers whose address clouds use for
// metadata and credentials (169.254.169.0/24, 169.254.170.0/24); they are in 169.254.62.0/23.
Address wireguard_address(uint32_t number);

struct WireguardNode {
  std::string name;
  uint32_t number = 0;
  Address underlay;
  uint16_t port = kWireguardPort;
  kernel::WireguardKey key{};  // zeros: none, or no valid one
};

struct WireguardPlan {
  uint16_t port = kWireguardPort;
  kernel::WireguardKey key{};  // this node's public key as the others know it; zeros: they do not yet
  uint32_t mtu = 0;
  Wanted wanted;                             // the device up, its address, routes
  std::vector<kernel::WireguardPeer> peers;  // sorted by key
  std::vector<std::string> problems;         // nodes that cannot be peers, and why
};
// self is among the nodes. underlay_mtu: of the link this node's address is on.
WireguardPlan plan_wireguard(const std::string& self, const std::vector<WireguardNode>& nodes, uint32_t underlay_mtu);

struct WireguardDifference {
  std::vector<kernel::WireguardPeer> set;
  std::vector<kernel::WireguardKey> remove;
};
// What to change of the peers; an endpoint that moved (the device follows whoever authenticates) goes back.
WireguardDifference wireguard_difference(const WireguardPlan& plan, const std::vector<kernel::WireguardPeer>& there);
// Routes of ours to such addresses that are wanted no longer. What is missing, difference() finds.
std::vector<Repair> stale_wireguard_routes(const WireguardPlan& plan, const std::vector<kernel::Route>& routes);

}  // namespace fairlead::overlay
