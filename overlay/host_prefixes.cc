#include "overlay/host_prefixes.h"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <map>

#include "kernel/rtnl.h"

namespace fairlead::overlay {
namespace {

constexpr unsigned kShortest = 8;

bool counts(const kernel::Route& route) {
  if (route.type != RTN_UNICAST && route.type != RTN_LOCAL) return false;
  const Prefix& to = route.destination;
  return to.length >= kShortest && !to.address.is_multicast() && !to.address.is_link_local();
}

}  // namespace

Result<std::vector<HostPrefix>> host_prefixes() {
  FL_TRY(auto socket, kernel::NetlinkSocket::open(NETLINK_ROUTE));
  FL_TRY(auto links, kernel::dump_links(socket));
  FL_TRY(auto routes, kernel::dump_routes(socket, RT_TABLE_UNSPEC));
  std::map<uint32_t, std::string> names;
  for (const auto& link : links) names[link.index] = link.name;
  // A route says more to a person than the address inside it, so routes are found first.
  std::stable_sort(routes.begin(), routes.end(), [](const auto& a, const auto& b) { return a.type < b.type; });
  std::vector<HostPrefix> out;
  for (const auto& route : routes) {
    if (!counts(route)) continue;
    std::string what = (route.type == RTN_LOCAL ? "address " : "route ") + route.destination.to_string();
    if (route.gateway) what += " via " + route.gateway->to_string();
    if (auto name = names.find(route.index); name != names.end()) what += " dev " + name->second;
    out.push_back({route.destination, what});
  }
  return out;
}

const HostPrefix* find_overlap(const std::vector<HostPrefix>& taken, const Prefix& subnet) {
  for (const auto& t : taken)
    if (t.prefix.overlaps(subnet)) return &t;
  return nullptr;
}

}  // namespace fairlead::overlay
