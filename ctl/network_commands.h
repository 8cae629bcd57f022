// fairleadctl network …
#pragma once

#include <string>
#include <vector>

#include "ctl/context.h"
#include "state/records.h"

namespace fairlead::ctl {

struct NetworkOptions {
  std::string name;
  std::vector<Prefix> subnets;  // empty: chosen
  std::string encryption = "none";
  bool internal = false;
  uint32_t mtu = 0;
  uint16_t port = 0;                              // UDP port between nodes; 0: the usual one (state/vxlan_port.h)
  uint32_t block_length4 = 0, block_length6 = 0;  // 0: as the subnet suggests (state/block_record.h)
};

// Refused: a name that is taken, a subnet this node has a route into, encryption.
Output network_create(Context& context, const NetworkOptions& options);
Output network_list(Context& context);
Output network_inspect(Context& context, const std::string& name);
// Refused while it has services or endpoints, which are named.
Output network_remove(Context& context, const std::string& name);

}  // namespace fairlead::ctl
