#include <linux/rtnetlink.h>
#include <strings.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/names.h"
#include "cni-plugin/attachment.h"
#include "cni-plugin/id_names.h"
#include "cni-plugin/ipam_call.h"
#include "cni-plugin/network.h"
#include "cni-plugin/ports.h"
#include "ipam/blocks.h"
#include "kernel/netns.h"
#include "overlay/attach.h"
#include "overlay/names.h"
#include "state/netns_id.h"
#include "state/store.h"

namespace fairlead::plugin {
namespace {

using cni::cni_fail;
using cni::CniResult;
using cni::Request;

bool own_netns_allowed() {
  const char* value = getenv("CNI_NETNS_OVERRIDE");
  return value && (strcmp(value, "1") == 0 || strcasecmp(value, "true") == 0);
}

// Before anything is changed: the reference library looks only afterwards and leaves what it did (CNI-049).
CniResult<Fd> open_container(const Request& request) {
  auto container = kernel::open_netns(request.netns);
  if (!container) {
    bool gone = container.error().sys == ENOENT;
    return cni_fail(gone ? cni::kUnknownContainer : cni::kInvalidNetns, "CNI_NETNS: " + container.error().message);
  }
  FL_TRY(Fd own, kernel::own_netns());
  FL_TRY(bool same, kernel::same_netns(own.get(), container->get()));
  if (same && !own_netns_allowed())
    return cni_fail(cni::kInvalidNetns, "CNI_NETNS " + request.netns +
                                            " is the namespace the runtime itself runs in; it is not a container's");
  return std::move(*container);
}

Endpoint make_endpoint(const Request& request, const Config& config, const Network& network) {
  Endpoint e;
  e.network = network.name;
  e.container = request.container;
  e.ifname = request.ifname;
  e.netns = request.netns;
  e.netns_inode = netns_inode(request.netns);
  e.mac = config.mac ? *config.mac : Mac::random();
  e.host_ifname = overlay::host_ifname(network.name, request.container, request.ifname);
  e.mtu = config.network.mtu;
  e.names = config.names;
  e.aliases = config.aliases;
  e.services = config.services;
  e.labels = config.labels;
  e.port_mappings = config.port_mappings;
  e.bandwidth = config.bandwidth;
  if (!e.port_mappings.empty()) e.attempt = PortWait::draw_attempt();
  e.ipam = config.ipam_type;
  return e;
}

// Only addresses of the network's subnets can be routed in it, one per family.
CniResult<void> take_addresses(Endpoint& endpoint, const Network& network, const cni::AddResult& granted) {
  for (const auto& ip : granted.ips) {
    const Address& address = ip.address.address;
    const Prefix* subnet = network.subnet(address.family());
    if (!subnet || !subnet->contains(address)) {
      std::string subnets;
      for (const auto& s : network.subnets) subnets += " " + s.to_string();
      return cni_fail(cni::kInvalidConfig, "IPAM plugin " + endpoint.ipam + " gave " + address.to_string() +
                                               ", which is outside network " + network.name + " (" +
                                               (subnets.empty() ? "no subnets" : subnets.substr(1)) + ")");
    }
    if (address == *network.gateway(address.family()))
      return cni_fail(cni::kInvalidConfig, "IPAM plugin " + endpoint.ipam + " gave " + address.to_string() +
                                               ", which is network " + network.name + "'s gateway");
    if (endpoint.address(address.family()))
      return cni_fail(cni::kInvalidConfig, "IPAM plugin " + endpoint.ipam + " gave two addresses of one family; " +
                                               "an endpoint has at most one IPv4 and one IPv6 address");
    endpoint.addresses.push_back(address);
  }
  return {};
}

// In a cluster other nodes have routes to this node's blocks only, and give the other addresses themselves.
CniResult<void> check_blocks(const Paths& paths, const Endpoint& endpoint, const Network& network) {
  FL_TRY(auto own, ipam::own_blocks(paths, network.name, &network));
  if (!own || !own->claimed) return {};
  for (const auto& address : endpoint.addresses)
    if (std::none_of(own->blocks.begin(), own->blocks.end(), [&](const Prefix& b) { return b.contains(address); }))
      return cni_fail(cni::kInvalidConfig, "IPAM plugin " + endpoint.ipam + " gave " + address.to_string() +
                                               ", which is in no block of this node in network " + network.name +
                                               "; in a cluster use the IPAM type fairlead-ipam");
  return {};
}

// Routes the IPAM wants beside ours. In a routed network everything is reached through the gateway, so that is where
// they lead; a route through another container cannot be had.
CniResult<void> take_routes(overlay::Attachment& attachment, const cni::AddResult& granted) {
  for (const auto& r : granted.routes) {
    Address gateway;
    for (const auto& g : attachment.gateways)
      if (g.family() == r.destination.family()) gateway = g;
    if (!gateway) continue;  // no address of that family
    bool known =
        r.gateway && (*r.gateway == gateway || std::any_of(granted.ips.begin(), granted.ips.end(),
                                                           [&](const auto& ip) { return ip.gateway == r.gateway; }));
    if (r.gateway && !known)
      return cni_fail(cni::kInvalidConfig, "route " + r.destination.to_string() + " via " + r.gateway->to_string() +
                                               ": only the gateway " + gateway.to_string() + " can be a next hop");
    overlay::ContainerRoute route;
    route.destination = Prefix{r.destination.first(), r.destination.length};
    route.scope = static_cast<uint8_t>(r.scope.value_or(RT_SCOPE_UNIVERSE));
    // A next hop on a link-scope route is refused by the kernel (fib_check_nh); the spec has it without.
    if (route.scope < RT_SCOPE_LINK) route.gateway = gateway;
    route.mtu = r.mtu.value_or(0);
    route.advmss = r.advmss.value_or(0);
    route.priority = r.priority.value_or(0);
    route.table = r.table.value_or(0);
    auto same = std::find_if(attachment.routes.begin(), attachment.routes.end(), [&](const auto& other) {
      return other.destination == route.destination && other.table == route.table;
    });
    if (same == attachment.routes.end()) {
      attachment.routes.push_back(route);
      continue;
    }
    if (!r.priority) route.priority = same->priority;  // which of several networks has the default route
    *same = route;
  }
  return {};
}

cni::Dns dns_of(const Config& config, const Network& network, const Endpoint& endpoint) {
  if (!config.dns.empty()) return config.dns;
  cni::Dns dns;
  for (const auto& address : endpoint.addresses)
    dns.nameservers.push_back(network.gateway(address.family())->to_string());
  dns.search = {network.name + "." + overlay::kDomain, overlay::kDomain};
  return dns;
}

// prevResult's content first and unchanged, ours appended (spec section 2, ADD).
cni::AddResult make_result(const Request& request, const Config& config, const Network& network,
                           const Endpoint& endpoint, const overlay::Attachment& attachment,
                           const std::vector<overlay::ContainerRoute>& routes, const cni::AddResult& granted) {
  cni::AddResult result = request.prev_result.value_or(cni::AddResult{});
  auto base = static_cast<uint32_t>(result.interfaces.size());
  result.interfaces.push_back(
      {endpoint.host_ifname, Mac{overlay::kGatewayMac}.to_string(), attachment.mtu, "", "", ""});
  result.interfaces.push_back({endpoint.ifname, endpoint.mac.to_string(), attachment.mtu, request.netns, "", ""});
  for (const auto& address : endpoint.addresses)
    result.ips.push_back({Prefix{address, address.bits()}, network.gateway(address.family()), base + 1});
  for (const auto& r : routes) {
    cni::RouteConfig route{r.destination, {}, {}, {}, {}, {}, {}};
    // What the IPAM said is repeated as it was said: "0" is not "nothing".
    for (const auto& g : granted.routes)
      if (g.destination.length == r.destination.length && g.destination.first() == r.destination.first() &&
          g.table.value_or(0) == r.table)
        route = g;
    route.destination = r.destination;
    route.gateway = r.gateway ? std::optional(r.gateway) : std::nullopt;
    if (r.mtu) route.mtu = r.mtu;
    if (r.advmss) route.advmss = r.advmss;
    if (r.priority) route.priority = r.priority;
    if (r.table) route.table = r.table;
    result.routes.push_back(route);
  }
  if (result.dns.empty()) result.dns = dns_of(config, network, endpoint);
  return result;
}

std::vector<Prefix> prefixes_of(const cni::AddResult& granted) {
  std::vector<Prefix> prefixes;
  for (const auto& ip : granted.ips) prefixes.push_back(ip.address);
  return prefixes;
}

// The document last: from now on the daemons take the endpoint for real. With port mappings it has to be there for
// fairlead-lb to act on, and goes again when a port cannot be had.
CniResult<void> announce(const Paths& paths, const Endpoint& endpoint) {
  if (endpoint.port_mappings.empty()) {
    FL_CHECK(save(paths, endpoint));
    return {};
  }
  const PortWait ports(paths, endpoint);
  FL_CHECK(save(paths, endpoint));
  auto answer = ports.wait();
  if (!answer) (void)remove_endpoint(paths, endpoint.network, endpoint.container, endpoint.ifname);
  return answer;
}

CniResult<cni::AddResult> attach_with(const Paths& paths, const Request& request, const Config& config,
                                      const Network& network, const cni::AddResult& granted, int container) {
  Endpoint endpoint = make_endpoint(request, config, network);
  FL_CHECK(take_addresses(endpoint, network, granted));
  if (config.ipam_type != kOwnIpam) FL_CHECK(check_blocks(paths, endpoint, network));
  FL_TRY(OpenRouter router, ensure_router(paths, network.name));
  if (!endpoint.mtu) endpoint.mtu = network.mtu ? network.mtu : router.record.mtu;
  auto attachment = overlay::attachment_of(network, endpoint, router.record.mtu);
  FL_CHECK(take_routes(attachment, granted));
  auto routes = overlay::attach(attachment, router.netns.get(), container);
  if (!routes) {
    using Kind = overlay::AttachError::Kind;
    bool gone = routes.error().kind == Kind::kContainerGone;
    return cni_fail(gone ? cni::kInvalidNetns : cni::kOwnError, "attach " + request.container + " to network " +
                                                                    network.name + ": " + routes.error().error.message);
  }
  if (auto announced = announce(paths, endpoint); !announced) {
    (void)overlay::detach(endpoint.host_ifname, router.netns.get());
    return fail(std::move(announced.error()));
  }
  return make_result(request, config, network, endpoint, attachment, *routes, granted);
}

}  // namespace

CniResult<Fd> lock_attachment(const Paths& paths, const std::string& network, const std::string& container,
                              const std::string& ifname, int timeout_ms) {
  const std::string file = paths.attachments_lock(), key = attachment_lock_key(network, container, ifname);
  auto held = lock_key(file, key, timeout_ms);
  if (!held && held.error().sys == ENOENT) {
    FL_CHECK(make_folders(paths.run));
    held = lock_key(file, key, timeout_ms);
  }
  if (held) return std::move(*held);
  if (held.error().sys != EWOULDBLOCK) return fail(cni::CniError(held.error()));
  return cni_fail(cni::kTryAgainLater,
                  "another call for " + container + " " + ifname + " on network " + network + " has been running for " +
                      std::to_string(timeout_ms / 1000) + " s",
                  held.error().message);
}

CniResult<cni::AddResult> add(const Paths& paths, const Request& request) {
  FL_TRY(Fd container, open_container(request));
  FL_TRY(Config config, read_config(request));
  // Before addresses are asked for: they may be reserved for a name.
  if (config.names.empty()) config.names = names_from_id(request.container, request.netns);
  FL_TRY(Fd lock, lock_attachment(paths, config.network.name, request.container, request.ifname));
  // Asked before the IPAM is: its roll-back would release the first attachment's addresses (CNI-046).
  FL_TRY(auto existing, load_endpoint(paths, config.network.name, request.container, request.ifname));
  if (existing)
    return cni_fail(cni::kAddressInUse, "container " + request.container + " is attached to network " +
                                            config.network.name + " as " + request.ifname + " already; DEL it first");
  FL_TRY(auto network, ensure_network(paths, request, config));
  FL_TRY(auto granted, ipam_add(paths, request, config.ipam_type, network ? &*network : nullptr, config.names));
  auto attached = [&]() -> CniResult<cni::AddResult> {
    if (!network) {
      FL_TRY(network, ensure_network(paths, request, config, prefixes_of(granted)));
    }
    return attach_with(paths, request, config, *network, granted, container.get());
  }();
  if (!attached) (void)ipam_del(paths, request, config.ipam_type);
  return attached;
}

}  // namespace fairlead::plugin
