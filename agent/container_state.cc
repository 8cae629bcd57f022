#include "agent/container_state.h"

#include <linux/rtnetlink.h>

#include <algorithm>

#include "overlay/names.h"

namespace fairlead::agent {
namespace {

using overlay::ContainerRoute;
using overlay::Observed;

bool has_route(const Observed& observed, const Prefix& destination, uint32_t link) {
  return std::any_of(observed.routes.begin(), observed.routes.end(), [&](const kernel::Route& r) {
    return r.destination == destination && r.index == link && r.type == RTN_UNICAST;
  });
}

bool other_default(const Observed& observed, int family, uint32_t link) {
  return std::any_of(observed.routes.begin(), observed.routes.end(), [&](const kernel::Route& r) {
    return r.destination.length == 0 && r.destination.family() == family && r.index != link &&
           r.table == RT_TABLE_MAIN && r.type == RTN_UNICAST;
  });
}

// The routes to have: as planned, or the subnets where a default route is or was somebody else's.
std::vector<ContainerRoute> routes_to_have(const overlay::Attachment& a, const Observed& observed, uint32_t link) {
  std::vector<ContainerRoute> routes;
  for (const auto& route : a.routes) {
    const int family = route.gateway.family();
    if (route.destination.length != 0) {
      routes.push_back(route);
      continue;
    }
    std::vector<ContainerRoute> subnets;
    bool have_subnets = true;
    for (const auto& subnet : a.subnets) {
      if (subnet.family() != family) continue;
      subnets.push_back({subnet, route.gateway});
      have_subnets = have_subnets && has_route(observed, subnet, link);
    }
    if (subnets.empty()) have_subnets = false;
    if (have_subnets || other_default(observed, family, link))
      routes.insert(routes.end(), subnets.begin(), subnets.end());
    else
      routes.push_back(route);
  }
  return routes;
}

}  // namespace

overlay::Wanted wanted_in_container(const overlay::Attachment& a, const Observed& observed) {
  overlay::Wanted wanted;
  wanted.links.push_back({a.ifname, a.mac, 0});
  for (const auto& address : a.addresses) wanted.addresses.push_back({a.ifname, Prefix{address, address.bits()}});
  for (const auto& gateway : a.gateways) wanted.neighbours.push_back({a.ifname, gateway, Mac{overlay::kGatewayMac}});
  const kernel::Link* link = observed.link(a.ifname);
  if (!link) return wanted;
  for (const auto& r : routes_to_have(a, observed, link->index)) {
    if (has_route(observed, r.destination, link->index)) continue;
    overlay::PlannedRoute planned;
    planned.link = a.ifname;
    planned.route.destination = r.destination;
    planned.route.gateway = r.gateway;
    planned.route.onlink = true;
    wanted.routes.push_back(planned);
  }
  return wanted;
}

}  // namespace fairlead::agent
