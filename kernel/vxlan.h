// VXLAN devices and their forwarding entries (which MAC is behind which node). Formats: linux/if_link.h (IFLA_VXLAN_*),
// linux/neighbour.h with family AF_BRIDGE; drivers/net/vxlan/vxlan_core.c.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernel/rtnl.h"

namespace fairlead::kernel {

struct VxlanSpec {
  std::string name;
  uint32_t index = 0;  // as VethSpec's
  uint32_t vni = 0;
  Address local;  // of the underlay; its family is that of all peers
  uint16_t port = 0;
  Mac mac;
  uint32_t mtu = 0;
  int netns = -1;  // where the device goes; its packets go through the namespace of the socket that makes it
};
// Never learns and never floods: only what add_forwarding() says is known. Made down.
Message add_vxlan(const VxlanSpec& spec);

struct Vxlan {
  Link link;
  uint32_t vni = 0;
  Address local;
  uint16_t port = 0;
  bool learning = false;
};
// nullopt: no link of that name, or one of another kind.
Result<std::optional<Vxlan>> find_vxlan(NetlinkSocket& socket, const std::string& name);

struct Forwarding {
  Mac mac;
  Address to;  // of the underlay
  friend bool operator==(const Forwarding&, const Forwarding&) = default;
};
Message set_forwarding(uint32_t index, const Forwarding& entry);  // replace
Message delete_forwarding(uint32_t index, const Forwarding& entry);
// Entries with a destination, of one device.
Result<std::vector<Forwarding>> dump_forwarding(NetlinkSocket& socket, uint32_t index);

}  // namespace fairlead::kernel
