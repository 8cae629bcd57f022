#include "agent/container_state.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>

#include "overlay/names.h"

namespace fairlead::agent {
namespace {

using overlay::ContainerRoute;
using overlay::Observed;

// table 0: any.
bool has_route(const Observed& observed, const Prefix& destination, uint32_t link, uint32_t table = 0) {
  return std::any_of(observed.routes.begin(), observed.routes.end(), [&](const kernel::Route& r) {
    return r.destination == destination && r.index == link && r.type == RTN_UNICAST && (!table || r.table == table);
  });
}

uint32_t metric_of(int family, uint32_t metric) { return metric == 0 && family == AF_INET6 ? 1024 : metric; }

bool taken_by_another(const Observed& observed, const ContainerRoute& route, uint32_t link) {
  const int family = route.gateway.family();
  return std::any_of(observed.routes.begin(), observed.routes.end(), [&](const kernel::Route& r) {
    return r.destination.length == 0 && r.destination.family() == family && r.index != link &&
           r.table == RT_TABLE_MAIN && r.type == RTN_UNICAST &&
           metric_of(family, r.metric) == metric_of(family, route.priority);
  });
}

// The routes to have: as planned, or the subnets where the first default route is or was somebody else's.
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
    if (has_route(observed, route.destination, link, RT_TABLE_MAIN)) continue;
    if ((have_subnets && route.priority == 0) || taken_by_another(observed, route, link))
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
  auto want = [&](const ContainerRoute& r, uint32_t table) {
    if (has_route(observed, r.destination, link->index, table)) return;
    overlay::PlannedRoute planned;
    planned.link = a.ifname;
    planned.route.destination = r.destination;
    planned.route.gateway = r.gateway;
    planned.route.onlink = true;
    planned.route.metric = r.priority;
    if (r.table) planned.route.table = r.table;
    wanted.routes.push_back(planned);
  };
  for (const auto& r : routes_to_have(a, observed, link->index))
    want(r, r.destination.length == 0 ? uint32_t{RT_TABLE_MAIN} : 0u);
  for (const auto& r : a.source.routes) want(r, r.table);
  wanted.policy = a.source.rules;
  return wanted;
}

}  // namespace fairlead::agent
