// What is missing in a namespace, as the requests that put it back: a dump of the kernel against what is wanted.
// Pure; the same function serves routers, the host's uplinks and the containers. Things that are there and not wanted
// are left alone: they are somebody's.
#pragma once

#include <string>
#include <vector>

#include "kernel/rtnl.h"
#include "overlay/router_plan.h"

namespace fairlead::overlay {

// The parts of a namespace's state that we compare.
struct Observed {
  std::vector<kernel::Link> links;
  std::vector<kernel::LinkAddress> addresses;
  std::vector<kernel::Route> routes;
  std::vector<kernel::Neighbour> neighbours;
  std::vector<kernel::Rule> policy;

  const kernel::Link* link(std::string_view name) const;
};
// Five dumps in the socket's namespace.
Result<Observed> observe(kernel::NetlinkSocket& socket);

struct WantedLink {
  std::string name;
  Mac mac;           // zero: any
  uint32_t mtu = 0;  // 0: any
};
struct WantedAddress {
  std::string link;
  Prefix prefix;
};

struct Wanted {
  std::vector<WantedLink> links;  // up; links themselves are made elsewhere
  std::vector<WantedAddress> addresses;
  std::vector<PlannedRoute> routes;
  std::vector<PlannedNeighbour> neighbours;
  std::vector<kernel::Rule> policy;
};

// kind: "link", "address", "route" or "neighbour", as in fairlead_repairs_total.
struct Repair {
  const char* kind;
  kernel::Message request;
};

// In the order in which they must run. What belongs to a link that does not exist is left out.
// A link that comes up loses and gains state in the kernel (routes, IPv6 addresses); so a difference with a link in it
// is followed by another one.
std::vector<Repair> difference(const Wanted& wanted, const Observed& observed);

// The wanted state of a router (without its endpoints) and of the host's end of its uplink.
Wanted wanted_in_router(const RouterPlan& plan);
Wanted wanted_on_host(const RouterPlan& plan, const Router& router);
// Adds an endpoint's routes and neighbours in its router.
void add_endpoint(Wanted& wanted, const Endpoint& endpoint);

}  // namespace fairlead::overlay
