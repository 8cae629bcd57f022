// The host's rules for VXLAN that WireGuard protects: such packets leave by its device or not at all, and count only
// when they came from it; nothing else uses the device. Text for the chains of overlay/host_rules.h. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fairlead::overlay {

struct WireguardRules {
  std::string prerouting, output;  // raw
  std::string input, forward;      // filter
  std::string chains;              // of their own
};
// ports: of the VXLAN devices of networks encrypted with WireGuard; none: no rules.
WireguardRules wireguard_rules(const std::vector<uint16_t>& ports);

}  // namespace fairlead::overlay
