#include "lb/local_routes.h"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <map>

namespace fairlead::lb {
namespace {

// IPv6 routes without a metric get this one (include/net/ip6_route.h, IP6_RT_PRIO_USER).
constexpr uint32_t kDefaultMetric6 = 1024;

kernel::Route as_route(const LocalRoute& wanted, uint32_t index) {
  kernel::Route r;
  r.destination = {wanted.address, wanted.address.bits()};
  r.index = index;
  r.type = RTN_LOCAL;
  r.table = RT_TABLE_LOCAL;
  r.metric = wanted.metric || wanted.address.is_v4() ? wanted.metric : kDefaultMetric6;
  r.protocol = kLbRouteProtocol;
  return r;
}

bool same(const kernel::Route& a, const kernel::Route& b) {
  return a.destination == b.destination && a.index == b.index && a.type == b.type && a.metric == b.metric;
}

}  // namespace

Result<LocalRouteChanges> sync_local_routes(kernel::NetlinkSocket& socket, const std::vector<LocalRoute>& wanted) {
  std::map<std::string, uint32_t> links;
  std::vector<kernel::Route> routes;
  for (const auto& route : wanted) {
    if (!links.count(route.link)) {
      FL_TRY(auto link, kernel::find_link(socket, route.link));
      links[route.link] = link ? link->index : 0;
    }
    if (links[route.link]) routes.push_back(as_route(route, links[route.link]));
  }
  FL_TRY(auto present, kernel::dump_routes(socket, RT_TABLE_LOCAL));
  std::erase_if(present, [](const kernel::Route& r) { return r.protocol != kLbRouteProtocol; });
  kernel::Batch batch;
  LocalRouteChanges changes;
  auto in = [](const std::vector<kernel::Route>& list, const kernel::Route& r) {
    return std::any_of(list.begin(), list.end(), [&](const kernel::Route& other) { return same(r, other); });
  };
  for (const auto& route : present) {
    if (in(routes, route)) continue;
    batch.push_back(kernel::delete_route(route));
    changes.removed++;
  }
  for (const auto& route : routes) {
    if (in(present, route)) continue;
    batch.push_back(kernel::set_route(route));
    changes.added++;
  }
  FL_CHECK(socket.run(std::move(batch)));
  return changes;
}

}  // namespace fairlead::lb
