// The overlay's UDP ports, one for each kind of encryption: what protects a packet between nodes is chosen by its port.
// Containers must not send to them through the host: the frames would count as the host's own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "state/records.h"

namespace fairlead {

inline constexpr uint16_t kVxlanPort = 4789;
inline constexpr uint16_t kIpsecVxlanPort = 4790;
inline constexpr uint16_t kWireguardVxlanPort = 4791;
// Not of VXLAN: where a node takes ESP in UDP, unless its node.json says another (docs/encryption.md).
inline constexpr uint16_t kEspInUdpPort = 4793;
uint16_t vxlan_port(const Network& network);

// Why the network may not use its port: a network with another kind of encryption has it, or every one of that kind has
// it by default. "": it may. Of two that are there one is refused: that which names the port rather than having it by
// default, then the one that is not encrypted, then the later name.
std::string port_conflict(const Network& network, const std::vector<Network>& all);
// The same for a network that is still to be made: those that are there come first.
std::string port_taken(const Network& network, const std::vector<Network>& others);

}  // namespace fairlead
