#include <algorithm>

#include "cni-plugin/attachment.h"
#include "cni-plugin/ipam_call.h"
#include "cni-plugin/network.h"
#include "kernel/netns.h"
#include "kernel/rtnl.h"
#include "overlay/router_check.h"
#include "overlay/shaping.h"
#include "state/store.h"

namespace fairlead::plugin {
namespace {

using cni::cni_fail;
using cni::CniResult;
using cni::Request;
using kernel::NetlinkSocket;

std::string subject(const Request& request) { return request.container + "/" + request.ifname; }

// The container's end against what the result promised: link, MAC, addresses, routes. More than promised is fine,
// later plugins of the chain may have added it.
Result<void> check_container(const Request& request, const Endpoint& endpoint) {
  FL_TRY(auto socket, NetlinkSocket::open(NETLINK_ROUTE));
  FL_TRY(auto link, kernel::find_link(socket, request.ifname));
  if (!link) return fail("interface " + request.ifname + " is missing in the container");
  if (!link->up) return fail("interface " + request.ifname + " is down");
  if (link->mac != endpoint.mac)
    return fail("interface " + request.ifname + " has MAC " + link->mac.to_string() + ", expected " +
                endpoint.mac.to_string());
  FL_TRY(auto addresses, kernel::dump_addresses(socket));
  for (const auto& address : endpoint.addresses)
    if (std::none_of(addresses.begin(), addresses.end(),
                     [&](const auto& a) { return a.index == link->index && a.prefix.address == address; }))
      return fail("address " + address.to_string() + " is missing on " + request.ifname);
  FL_TRY(auto routes, kernel::dump_routes(socket, 0));
  for (const auto& wanted : request.prev_result->routes) {
    // Routes of other plugins of the chain are not ours to judge: only those through this interface's gateways.
    if (!wanted.gateway) continue;
    bool there = std::any_of(routes.begin(), routes.end(), [&](const kernel::Route& r) {
      return r.destination.length == wanted.destination.length && r.destination.first() == wanted.destination.first() &&
             r.gateway == wanted.gateway;
    });
    if (!there)
      return fail("route " + wanted.destination.to_string() + " via " + wanted.gateway->to_string() + " is missing");
  }
  return {};
}

Result<void> check_host_end(const Endpoint& endpoint) {
  FL_TRY(auto socket, NetlinkSocket::open(NETLINK_ROUTE));
  FL_TRY(auto link, kernel::find_link(socket, endpoint.host_ifname));
  if (!link) return fail("its host end " + endpoint.host_ifname + " is missing in the router");
  if (!link->up) return fail("its host end " + endpoint.host_ifname + " is down");
  FL_TRY(auto routes, kernel::dump_routes(socket));
  FL_TRY(auto neighbours, kernel::dump_neighbours(socket));
  for (const auto& address : endpoint.addresses) {
    Prefix prefix{address, address.bits()};
    if (std::none_of(routes.begin(), routes.end(),
                     [&](const auto& r) { return r.destination == prefix && r.index == link->index; }))
      return fail("route " + prefix.to_string() + " is missing in the router");
    if (std::none_of(neighbours.begin(), neighbours.end(), [&](const auto& n) {
          return n.address == address && n.index == link->index && n.mac == endpoint.mac && n.permanent;
        }))
      return fail("neighbour " + address.to_string() + " is missing in the router");
  }
  if (auto shaping = overlay::shaping_of(endpoint, endpoint.mtu); shaping.any()) {
    FL_TRY(auto missing, overlay::missing_shaping(socket, shaping, link->index));
    if (!missing.empty()) return fail(missing + " is missing in the router");
  }
  return {};
}

}  // namespace

CniResult<void> check(const Paths& paths, const Request& request) {
  FL_TRY(Config config, read_config(request));
  auto container = kernel::open_netns(request.netns);
  if (!container) return cni_fail(cni::kUnknownContainer, "CNI_NETNS: " + container.error().message);
  FL_TRY(auto endpoint, load_endpoint(paths, config.network.name, request.container, request.ifname));
  if (!endpoint)
    return cni_fail(cni::kUnknownContainer,
                    subject(request) + " is not attached to network " + config.network.name + " on this node");
  auto inside = kernel::in_netns(container->get(), [&] { return check_container(request, *endpoint); });
  if (!inside) return cni_fail(cni::kOwnError, subject(request) + ": " + inside.error().message);
  FL_TRY(auto router, find_router(paths, config.network.name));
  if (!router) return cni_fail(cni::kOwnError, "network " + config.network.name + " has no router on this node");
  FL_TRY(auto network, load_network(paths, config.network.name));
  auto outside = kernel::in_netns(router->netns.get(), [&]() -> Result<void> {
    FL_CHECK(check_host_end(*endpoint));
    if (!network) return {};
    FL_TRY(auto missing, overlay::missing_in_router(*network, router->record));
    if (!missing.empty()) return fail(missing);
    return {};
  });
  if (!outside) return cni_fail(cni::kOwnError, subject(request) + ": " + outside.error().message);
  return ipam_check(paths, request, config.ipam_type);
}

}  // namespace fairlead::plugin
