#include "overlay/attach.h"

#include <linux/rtnetlink.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "kernel/netns.h"
#include "overlay/names.h"

namespace fairlead::overlay {
namespace {

using kernel::Batch;
using kernel::NetlinkSocket;
using kernel::Route;

struct Indexes {
  uint32_t host = 0, container = 0;
};

// Interface numbers are chosen here so that one batch can make a link and use it: random, so that two at once rarely
// meet, above what the kernel hands out (it counts from 1), and no larger than needed: the kernel keeps them in a
// radix tree of 6 bits a level and 576 bytes a node (net/core/dev.c, dev_by_index). A taken number is answered by
// EBUSY or EEXIST, and the next attempt draws from a larger range.
Indexes draw_indexes(int attempt) {
  uint32_t chance[2];
  while (::getrandom(chance, sizeof chance, 0) != sizeof chance) {
  }
  auto within = [&](uint32_t value, int bits) {
    uint32_t first = 1u << std::min(bits + 6 * attempt, 29);
    return first | (value & (first - 1));
  };
  return {within(chance[0], 17), within(chance[1], 5)};
}

Mac gateway_mac() { return Mac{kGatewayMac}; }

bool has_v6(const Attachment& a) {
  for (const auto& address : a.addresses)
    if (address.is_v6()) return true;
  return false;
}

Route kernel_route(const ContainerRoute& r, uint32_t index) {
  Route route;
  route.destination = r.destination;
  if (r.gateway) route.gateway = r.gateway;
  route.index = index;
  route.onlink = static_cast<bool>(r.gateway);
  if (r.scope) route.scope = r.scope;
  route.mtu = r.mtu;
  route.advmss = r.advmss;
  route.metric = r.priority;
  if (r.table) route.table = r.table;
  return route;
}

kernel::Message route_message(const ContainerRoute& r, uint32_t index) {
  Route route = kernel_route(r, index);
  return r.destination.length == 0 ? kernel::add_route(route) : kernel::set_route(route);
}

// Rules outlive the interface they were made for, so those of an earlier one of this number go first. A kernel without
// policy routing has none to offer; then answers leave by the default route.
Batch source_rules(const Attachment& a) {
  constexpr int kLeftOver = 4;  // one per address; more only where somebody else uses the same table
  Batch batch;
  for (const auto& rule : a.source.rules) {
    for (auto& remove : kernel::delete_rules(rule.family, rule.table, kLeftOver)) batch.push_back(std::move(remove));
    batch.push_back(kernel::set_rule(rule));
    batch.back().tolerate({EEXIST, EAFNOSUPPORT, EOPNOTSUPP});
  }
  return batch;
}

AttachError other(Error error) { return {AttachError::Kind::kOther, std::move(error)}; }

kernel::VethSpec veth_of(const Attachment& a, Indexes indexes, int container) {
  kernel::VethSpec veth;
  veth.name = a.host_ifname;
  veth.peer_name = a.ifname;
  veth.index = indexes.host;
  veth.peer_index = indexes.container;
  veth.mac = gateway_mac();
  veth.peer_mac = a.mac;
  veth.mtu = a.mtu;
  veth.peer_netns = container;
  veth.up = true;
  return veth;
}

// The kernel answers EEXIST for a taken name on either side and EBUSY (6.x: or EEXIST) for a taken number.
enum class Clash { kNumber, kHostName, kContainerName };
Result<Clash> find_clash(const Attachment& a, NetlinkSocket& router, NetlinkSocket& container) {
  FL_TRY(auto inside, kernel::find_link(container, a.ifname));
  if (inside) return Clash::kContainerName;
  FL_TRY(auto left_over, kernel::find_link(router, a.host_ifname));
  return left_over ? Clash::kHostName : Clash::kNumber;
}

// Undoing is best effort: the error that made it necessary is the one to report.
void remove_links(NetlinkSocket& router, uint32_t index, const Attachment& a) {
  Batch batch;
  batch.push_back(kernel::delete_link(index, a.host_ifname));
  if (a.shaping.out) batch.push_back(kernel::delete_link(a.shaping.ifb));
  (void)router.run(std::move(batch));
}

// Everything in the router, made with one batch.
Batch whole_router_side(const Attachment& a, Indexes indexes, int container) {
  Batch batch = router_side(a, indexes.host);
  batch.insert(batch.begin(), kernel::add_veth(veth_of(a, indexes, container)));
  if (!a.shaping.any()) return batch;
  for (auto& request : shaping_requests(a.shaping, indexes.host, draw_link_index(17)))
    batch.push_back(std::move(request));
  return batch;
}

bool is_clash(int sys) { return sys == EEXIST || sys == EBUSY; }

tl::expected<Indexes, AttachError> make_link(const Attachment& a, NetlinkSocket& router, NetlinkSocket& inside,
                                             int container) {
  Error last;
  for (int attempt = 0; attempt < 8; attempt++) {
    Indexes indexes = draw_indexes(attempt);
    std::vector<std::string> texts;
    auto results = router.run_each(whole_router_side(a, indexes, container), &texts);
    if (!results) return tl::unexpected(other(results.error()));
    if ((*results)[0] == 0) {
      auto bad = std::find_if(results->begin(), results->end(), [](int sys) { return sys != 0; });
      if (bad == results->end()) return indexes;
      last = Error{texts[static_cast<size_t>(bad - results->begin())], *bad};
      remove_links(router, indexes.host, a);
      if (a.shaping.out && is_clash(last.sys)) continue;  // the number of its device
      return tl::unexpected(other(last));
    }
    last = Error{texts[0], (*results)[0]};
    if (!is_clash(last.sys)) break;
    auto clash = find_clash(a, router, inside);
    if (!clash) return tl::unexpected(other(clash.error()));
    if (*clash == Clash::kContainerName)
      return tl::unexpected(AttachError{AttachError::Kind::kNameTaken,
                                        Error{"the container has an interface " + a.ifname + " already", EEXIST}});
    if (*clash == Clash::kHostName) {
      Batch remove;
      remove.push_back(kernel::delete_link(a.host_ifname));
      if (auto r = router.run(std::move(remove)); !r) return tl::unexpected(other(r.error()));
    }
  }
  return tl::unexpected(other(last));
}

}  // namespace

Attachment attachment_of(const Network& network, const Endpoint& endpoint, uint32_t router_mtu) {
  Attachment a;
  a.ifname = endpoint.ifname;
  a.host_ifname = host_ifname(endpoint.network, endpoint.container, endpoint.ifname);
  a.mac = endpoint.mac;
  a.mtu = endpoint.mtu ? endpoint.mtu : router_mtu;
  a.addresses = endpoint.addresses;
  for (const auto& address : endpoint.addresses)
    if (auto gateway = network.gateway(address.family())) a.gateways.push_back(*gateway);
  a.routes = container_routes(network, endpoint.addresses, endpoint.ifname);
  a.source = source_routing(network, endpoint.addresses, endpoint.ifname);
  a.subnets = network.subnets;
  a.shaping = shaping_of(endpoint, a.mtu);
  return a;
}

Batch router_side(const Attachment& a, uint32_t host_index) {
  Batch batch;
  for (const auto& address : a.addresses) {
    Route route;
    route.destination = Prefix{address, address.bits()};
    route.index = host_index;
    batch.push_back(kernel::set_route(route));
    batch.push_back(kernel::set_neighbour(host_index, address, a.mac));
  }
  return batch;
}

Batch container_side(const Attachment& a, uint32_t index, const Mac& gateway) {
  Batch batch;
  batch.push_back(kernel::set_link({.index = 1, .up = true}));  // lo is number 1 in every namespace
  // Before it is up, and on networks without IPv6, too (CVE-2024-32473); the host end has it from its router's
  // defaults. A kernel without IPv6 has nothing to set.
  batch.push_back(kernel::set_link({.index = index, .no_link_local = true}));
  batch.back().tolerate({EAFNOSUPPORT});
  for (const auto& address : a.addresses) batch.push_back(kernel::set_address(index, Prefix{address, address.bits()}));
  batch.push_back(kernel::set_link({.index = index, .up = true}));
  for (const auto& address : a.gateways) batch.push_back(kernel::set_neighbour(index, address, gateway));
  for (auto& rule : source_rules(a)) batch.push_back(std::move(rule));
  for (const auto& r : a.source.routes) batch.push_back(kernel::set_route(kernel_route(r, index)));
  for (const auto& r : a.routes) batch.push_back(route_message(r, index));
  return batch;
}

namespace {

struct Answers {
  std::vector<int> results;
  std::vector<std::string> texts;
};

// Runs the container's side. A container's own default may be "no IPv6" (Docker and runc set it), and its network says
// otherwise: the kernel answers EACCES ("IPv6 is disabled on this device", addrconf.c), then it is enabled on this one
// interface and what failed runs again. This is the only use of /proc/sys, and rare for a reason: looking up a
// container's /proc/sys/net takes as long as there are containers (docs/decisions/0007-no-sysctls-in-add.md).
Result<Answers> run_container_side(const Attachment& a, NetlinkSocket& inside, int container, uint32_t index) {
  Answers answers;
  FL_TRY(answers.results, inside.run_each(container_side(a, index, gateway_mac()), &answers.texts));
  if (!has_v6(a) || std::count(answers.results.begin(), answers.results.end(), EACCES) == 0) return answers;
  auto enabled = kernel::in_netns(container, [&]() -> Result<void> {
    FL_CHECK(write_sysctl("net/ipv6/conf/" + a.ifname + "/disable_ipv6", "0"));
    return {};
  });
  if (!enabled) return fail(enabled.error());
  Batch all = container_side(a, index, gateway_mac()), again;
  std::vector<size_t> places;
  for (size_t i = 0; i < all.size(); i++) {
    if (!answers.results[i]) continue;
    places.push_back(i);
    again.push_back(std::move(all[i]));
  }
  std::vector<std::string> texts;
  FL_TRY(auto results, inside.run_each(std::move(again), &texts));
  for (size_t i = 0; i < places.size(); i++) {
    answers.results[places[i]] = results[i];
    answers.texts[places[i]] = texts[i];
  }
  return answers;
}

// Where a default route of the same metric is somebody else's: routes to our subnets, and ours after it.
Result<void> come_after(const Attachment& a, const ContainerRoute& route, uint32_t index, NetlinkSocket& inside,
                        std::vector<ContainerRoute>& made) {
  constexpr uint32_t kLast = 2048;
  Batch batch;
  for (const auto& subnet : a.subnets) {
    if (subnet.family() != route.gateway.family()) continue;
    made.push_back({subnet, route.gateway});
    batch.push_back(route_message(made.back(), index));
  }
  FL_CHECK(inside.run(std::move(batch)));
  ContainerRoute later = route;
  for (later.priority = kLast; later.priority < kLast + 8; later.priority++) {
    Batch one;
    one.push_back(route_message(later, index));
    auto done = inside.run(std::move(one));
    if (!done && done.error().sys == EEXIST) continue;
    if (done) made.push_back(later);
    return done;
  }
  return {};
}

Result<std::vector<ContainerRoute>> configure(const Attachment& a, NetlinkSocket& inside, int container,
                                              uint32_t index) {
  FL_TRY(auto answers, run_container_side(a, inside, container, index));
  const auto& [results, texts] = answers;
  size_t first_route = results.size() - a.routes.size();
  std::vector<ContainerRoute> made;
  std::vector<const ContainerRoute*> taken;
  for (size_t i = 0; i < results.size(); i++) {
    const ContainerRoute* route = i >= first_route ? &a.routes[i - first_route] : nullptr;
    if (results[i] == 0) {
      if (route) made.push_back(*route);
      continue;
    }
    if (!route || route->destination.length != 0 || results[i] != EEXIST) return fail(texts[i], results[i]);
    taken.push_back(route);
  }
  for (const auto* route : taken) FL_CHECK(come_after(a, *route, index, inside, made));
  return made;
}

// The host end was up before its peer, so it gets its queue from a work item of the kernel, soon but not now; until
// then the router's packets to the container are dropped, the answer to its first one among them (CNI-059).
void wait_until_running(NetlinkSocket& router, uint32_t index) {
  for (long waited_us = 0, nap_us = 50; waited_us < 1'000'000; nap_us = std::min(nap_us * 2, 5000l)) {
    auto link = kernel::find_link(router, index);
    if (!link || !*link || (*link)->running) return;
    timespec nap{0, nap_us * 1000};
    ::nanosleep(&nap, nullptr);
    waited_us += nap_us;
  }
}

}  // namespace

tl::expected<std::vector<ContainerRoute>, AttachError> attach(const Attachment& a, int router, int container) {
  std::optional<NetlinkSocket> in_router, in_container;
  auto open = [](std::optional<NetlinkSocket>& into) -> Result<void> {
    FL_TRY(into, NetlinkSocket::open(NETLINK_ROUTE));
    return {};
  };
  if (auto r = kernel::in_netns(router, [&] { return open(in_router); }); !r) return tl::unexpected(other(r.error()));
  if (auto r = kernel::in_netns(container, [&] { return open(in_container); }); !r)
    return tl::unexpected(AttachError{AttachError::Kind::kContainerGone, r.error()});

  auto made = make_link(a, *in_router, *in_container, container);
  if (!made) return tl::unexpected(made.error());
  auto routes = configure(a, *in_container, container, made->container);
  if (!routes) {
    remove_links(*in_router, made->host, a);
    return tl::unexpected(other(routes.error()));
  }
  wait_until_running(*in_router, made->host);
  return *routes;
}

Result<bool> detach(const std::string& name, int router) {
  bool found = false;
  FL_CHECK(kernel::in_netns(router, [&]() -> Result<void> {
    FL_TRY(auto socket, NetlinkSocket::open(NETLINK_ROUTE));
    kernel::Message message(RTM_DELLINK, 0, "delete link " + name);
    ifinfomsg header{};
    message.header(header).put_string(IFLA_IFNAME, name);
    Batch batch;
    batch.push_back(std::move(message));
    batch.push_back(kernel::delete_link(ifb_of(name)));
    std::vector<std::string> texts;
    FL_TRY(auto results, socket.run_each(std::move(batch), &texts));
    found = results[0] == 0;
    if (results[0] && results[0] != ENODEV) return fail(texts[0], results[0]);
    if (results[1]) return fail(texts[1], results[1]);
    return {};
  }));
  return found;
}

}  // namespace fairlead::overlay
