// Routes of type local that fairlead-lb owns in one namespace: VIPs in a router; on the host the way back for
// connections to ::1. They carry protocol 58, so that each process knows its own.
#pragma once

#include <string>
#include <vector>

#include "kernel/netlink.h"
#include "kernel/rtnl.h"

namespace fairlead::lb {

inline constexpr uint8_t kLbRouteProtocol = 58;

struct LocalRoute {
  Address address;
  std::string link;
  uint32_t metric = 0;  // IPv6 needs one; 0: the kernel's default
  friend bool operator==(const LocalRoute&, const LocalRoute&) = default;
};

struct LocalRouteChanges {
  size_t added = 0, removed = 0;
};
// Makes the routes of protocol 58 in the socket's namespace the wanted ones. Routes over links that are not there are
// left out; they are made at a later call.
Result<LocalRouteChanges> sync_local_routes(kernel::NetlinkSocket& socket, const std::vector<LocalRoute>& wanted);

}  // namespace fairlead::lb
