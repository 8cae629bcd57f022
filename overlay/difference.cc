#include "overlay/difference.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "overlay/names.h"

namespace fairlead::overlay {
namespace {

constexpr uint32_t kDefaultMetric6 = 1024;  // IP6_RT_PRIO_USER: what the kernel makes of metric 0

using LinkIndexes = std::unordered_map<std::string_view, uint32_t>;

std::optional<uint32_t> index_of(const LinkIndexes& links, const std::string& name) {
  if (name.empty()) return 0;
  auto found = links.find(name);
  if (found == links.end()) return std::nullopt;
  return found->second;
}

uint32_t metric_of(const kernel::Route& route) {
  return route.metric == 0 && route.destination.family() == AF_INET6 ? kDefaultMetric6 : route.metric;
}

bool same_route(const kernel::Route& wanted, const kernel::Route& there) {
  // IPv6 routes without a device are shown with lo.
  const bool device = wanted.index == 0 || wanted.index == there.index;
  return device && wanted.destination == there.destination && wanted.gateway == there.gateway &&
         wanted.type == there.type && wanted.table == there.table && metric_of(wanted) == metric_of(there);
}

// Dumps of thousands of routes are compared by their destination's place in a map, not one by one.
using RoutesTo = std::multimap<Prefix, const kernel::Route*>;

bool has_route(const RoutesTo& routes, const kernel::Route& wanted) {
  auto [begin, end] = routes.equal_range(wanted.destination);
  for (auto i = begin; i != end; ++i)
    if (same_route(wanted, *i->second)) return true;
  return false;
}

void compare_links(const Wanted& wanted, const Observed& observed, std::vector<Repair>& out) {
  for (const auto& link : wanted.links) {
    const kernel::Link* there = observed.link(link.name);
    if (!there) continue;
    kernel::LinkChange change;
    change.index = there->index;
    if (!link.mac.is_zero() && there->mac != link.mac) change.mac = link.mac;
    if (link.mtu && there->mtu != link.mtu) change.mtu = link.mtu;
    if (!there->up) change.up = true;
    if (change.up || change.mac || change.mtu) out.push_back({"link", kernel::set_link(change)});
  }
}

void compare_addresses(const Wanted& wanted, const Observed& observed, const LinkIndexes& links,
                       std::vector<Repair>& out) {
  std::set<std::pair<uint32_t, Prefix>> there;
  for (const auto& address : observed.addresses) there.insert({address.index, address.prefix});
  for (const auto& address : wanted.addresses) {
    auto index = index_of(links, address.link);
    if (index && !there.count({*index, address.prefix}))
      out.push_back({"address", kernel::set_address(*index, address.prefix)});
  }
}

void compare_neighbours(const Wanted& wanted, const Observed& observed, const LinkIndexes& links,
                        std::vector<Repair>& out) {
  std::map<std::pair<uint32_t, Address>, const kernel::Neighbour*> there;
  for (const auto& neighbour : observed.neighbours) there[{neighbour.index, neighbour.address}] = &neighbour;
  for (const auto& neighbour : wanted.neighbours) {
    auto index = index_of(links, neighbour.link);
    if (!index) continue;
    auto found = there.find({*index, neighbour.address});
    if (found != there.end() && found->second->permanent && found->second->mac == neighbour.mac) continue;
    out.push_back({"neighbour", kernel::set_neighbour(*index, neighbour.address, neighbour.mac)});
  }
}

void compare_routes(const Wanted& wanted, const Observed& observed, const LinkIndexes& links,
                    std::vector<Repair>& out) {
  RoutesTo there;
  for (const auto& route : observed.routes) there.insert({route.destination, &route});
  for (const auto& planned : wanted.routes) {
    auto index = index_of(links, planned.link);
    if (!index) continue;
    kernel::Route route = planned.route;
    route.index = *index;
    if (!has_route(there, route)) out.push_back({"route", kernel::set_route(route)});
  }
}

}  // namespace

const kernel::Link* Observed::link(std::string_view name) const {
  for (const auto& l : links)
    if (l.name == name) return &l;
  return nullptr;
}

Result<Observed> observe(kernel::NetlinkSocket& socket) {
  Observed o;
  FL_TRY(o.links, kernel::dump_links(socket));
  FL_TRY(o.addresses, kernel::dump_addresses(socket));
  FL_TRY(o.routes, kernel::dump_routes(socket, RT_TABLE_UNSPEC));
  FL_TRY(o.neighbours, kernel::dump_neighbours(socket));
  FL_TRY(o.policy, kernel::dump_rules(socket));
  return o;
}

std::vector<Repair> difference(const Wanted& wanted, const Observed& observed) {
  LinkIndexes links;
  for (const auto& link : observed.links) links[link.name] = link.index;
  std::vector<Repair> out;
  // Addresses first: an IPv4 address on a link that is down is kept, and the link's own route appears with it.
  compare_addresses(wanted, observed, links, out);
  compare_links(wanted, observed, out);
  compare_neighbours(wanted, observed, links, out);
  compare_routes(wanted, observed, links, out);
  for (const auto& rule : wanted.policy)
    if (std::find(observed.policy.begin(), observed.policy.end(), rule) == observed.policy.end())
      out.push_back({"route", kernel::set_rule(rule)});
  return out;
}

Wanted wanted_in_router(const RouterPlan& plan) {
  Wanted w;
  w.links.push_back({kLoopback, {}, 0});
  w.links.push_back({kRouterUplink, plan.inside.mac, plan.mtu});
  for (const auto& gateway : plan.gateways) w.addresses.push_back({kLoopback, gateway});
  for (const auto& address : plan.inside.addresses) w.addresses.push_back({kRouterUplink, address});
  w.routes = plan.routes;
  w.policy = plan.policy;
  for (const auto& peer : {plan.inside.peer4, plan.inside.peer6})
    if (!peer.link.empty()) w.neighbours.push_back(peer);
  return w;
}

Wanted wanted_on_host(const RouterPlan& plan, const Router& router) {
  Wanted w;
  w.links.push_back({router.uplink, plan.outside.mac, plan.mtu});
  for (const auto& address : plan.outside.addresses) w.addresses.push_back({router.uplink, address});
  for (const auto& peer : {plan.outside.peer4, plan.outside.peer6})
    if (!peer.link.empty()) w.neighbours.push_back(peer);
  return w;
}

void add_endpoint(Wanted& wanted, const Endpoint& endpoint) {
  for (auto& route : endpoint_routes(endpoint)) wanted.routes.push_back(std::move(route));
  for (auto& neighbour : endpoint_neighbours(endpoint)) wanted.neighbours.push_back(std::move(neighbour));
}

}  // namespace fairlead::overlay
