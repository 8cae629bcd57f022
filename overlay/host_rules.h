// The nftables rules of the host (table inet fairlead_host), as text in nft's own language. They speak of links "ul*"
// only: the same text for one network and for five hundred, and nothing of anybody else is looked at, except where
// fairlead itself turned the host into a router (HostRuleFacts::opened).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ip.h"
#include "state/records.h"
#include "state/vxlan_port.h"

namespace fairlead::overlay {

using fairlead::vxlan_port;

struct HostRuleFacts {
  // Forwarding was off before fairlead turned it on: packets that are neither ours nor through a bridge (Docker,
  // libvirt) are dropped as they were before (ISO-27).
  bool opened4 = false, opened6 = false;
  // Uplinks of internal networks. Their routers have no default route, so a published port's client is masqueraded.
  std::vector<std::string> internal_uplinks;
  // Of a cluster: the underlay addresses of all nodes, and the numbers of our networks. VXLAN with other numbers is
  // somebody else's (Docker's overlay uses the same port).
  std::vector<Address> nodes;
  std::vector<uint32_t> vnis;
  std::vector<uint16_t> ports;  // beside the three above
  // VXLAN ports of networks encrypted with WireGuard: by its device or not at all (overlay/wireguard_plan.h).
  std::vector<uint16_t> wireguard_ports;
  // UDP ports on which only what IPsec protects comes in or goes out. The same is said by IPsec policies
  // (overlay/ipsec_plan.h): whoever flushes one of the two has not opened anything yet.
  std::vector<uint16_t> ipsec_ports;
  friend bool operator==(const HostRuleFacts&, const HostRuleFacts&) = default;
};

std::string host_rules(const HostRuleFacts& facts);

}  // namespace fairlead::overlay
