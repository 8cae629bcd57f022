// The nftables rules of the host (table inet fairlead_host), as text in nft's own language. They speak of links "ul*"
// only: the same text for one network and for five hundred, and nothing of anybody else is looked at, except where
// fairlead itself turned the host into a router (HostRuleFacts::opened).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ip.h"
#include "state/records.h"

namespace fairlead::overlay {

// The overlay's UDP ports, one for each kind of encryption: what protects a frame is chosen by its port. Containers
// must not send to them through the host: the frames would count as the host's own.
inline constexpr uint16_t kVxlanPort = 4789;
inline constexpr uint16_t kIpsecVxlanPort = 4790;
inline constexpr uint16_t kWireguardVxlanPort = 4791;
uint16_t vxlan_port(const Network& network);

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
  friend bool operator==(const HostRuleFacts&, const HostRuleFacts&) = default;
};

std::string host_rules(const HostRuleFacts& facts);

}  // namespace fairlead::overlay
