#include "agent/realise.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstdio>

#include "agent/cluster_documents.h"
#include "agent/egress_wall.h"
#include "agent/host.h"
#include "agent/host_record.h"
#include "agent/ipsec_guard.h"
#include "agent/uplink_index.h"
#include "agent/wireguard.h"
#include "base/file.h"
#include "base/log.h"
#include "overlay/names.h"
#include "overlay/router_plan.h"
#include "state/node_name.h"
#include "state/store.h"

namespace fairlead::agent {
namespace {

constexpr int kLockTimeoutMs = 10000;
constexpr uint32_t kUnknownUnderlayMtu = 1500;

Result<Fd> lock_network(const Paths& paths, const std::string& network, int timeout_ms) {
  FL_CHECK(make_folders(paths.routers()));
  return lock_file(paths.routers() + "/." + network + ".lock", timeout_ms);
}

// The MTU of the link this node's address is on; alone, that of the link the (best) default route leaves by: what the
// overlay's packets will have.
Result<uint32_t> underlay_mtu(const overlay::Mesh* mesh) {
  FL_TRY(auto socket, kernel::NetlinkSocket::open(NETLINK_ROUTE));
  if (mesh) {
    FL_TRY(auto addresses, kernel::dump_addresses(socket));
    for (const auto& a : addresses) {
      if (a.prefix.address != mesh->underlay) continue;
      FL_TRY(auto link, kernel::find_link(socket, a.index));
      if (link) return link->mtu;
    }
  }
  FL_TRY(auto routes, kernel::dump_routes(socket));
  const kernel::Route* best = nullptr;
  for (const auto& route : routes) {
    if (route.destination.length != 0 || route.index == 0 || route.type != RTN_UNICAST) continue;
    if (!best || (route.destination.family() == AF_INET && best->destination.family() == AF_INET6) ||
        (route.destination.family() == best->destination.family() && route.metric < best->metric))
      best = &route;
  }
  if (!best) return kUnknownUnderlayMtu;
  FL_TRY(auto links, kernel::dump_links(socket));
  for (const auto& link : links)
    if (link.index == best->index) return link.mtu;
  return kUnknownUnderlayMtu;
}

// A container's MTU must not change under it because a route changed: once chosen it stays with the router.
Result<uint32_t> mtu_of(const Network& network, const std::optional<Router>& known, const overlay::Mesh* mesh) {
  if (network.mtu == 0 && known && known->mtu != 0) return known->mtu;
  uint32_t underlay = kUnknownUnderlayMtu;
  if (network.mtu == 0) {
    FL_TRY(underlay, underlay_mtu(mesh));
  }
  return overlay::container_mtu(network, underlay, mesh ? mesh->underlay.family() : AF_INET);
}

// A document that cannot be read says nothing we could not find out again.
std::optional<Router> known_router(const Paths& paths, const Network& network) {
  auto loaded = load_router(paths, network.name);
  if (!loaded || !*loaded || (*loaded)->network != network.name) return std::nullopt;
  return **loaded;
}

Result<void> realise_locked(const Paths& paths, const RealiseRequest& request, Realised& out) {
  const Network& network = *request.network;
  auto known = known_router(paths, network);
  if (known && known->vni != network.vni) {
    FL_CHECK(remove_router(*known));  // the network was removed and made anew with another number
    known.reset();
  }
  FL_TRY(uint32_t index, reserve_index(paths, network.name, known ? std::optional(known->index) : std::nullopt));
  const overlay::Mesh* mesh = request.mesh ? &*request.mesh : nullptr;
  FL_TRY(uint32_t mtu, mtu_of(network, known, mesh));
  if (request.host) FL_CHECK(ensure_host(paths, overlay::uses_family(network, AF_INET6), out.repairs));
  out.router = overlay::make_router(network, index, mtu);
  if (known) out.router.extra = known->extra;
  RouterWork work{network,
                  out.router,
                  request.endpoints,
                  known ? mark_of(known->extra) : RulesMark{},
                  request.settings,
                  request.kept_netns,
                  mesh,
                  request.mesh_changed,
                  request.shield};
  FL_TRY(out.result, ensure_router(work, out.repairs));
  if (known && out.result.made) out.repairs.add("router");
  out.router.extra = with_mark(out.router.extra, work.rules);
  if (known && encode(*known) == encode(out.router)) return {};
  return save(paths, out.router);
}

}  // namespace

Result<Realised> realise(const Paths& paths, const RealiseRequest& request) {
  Realised out;
  auto done = [&]() -> Result<void> {
    FL_TRY(Fd lock, lock_network(paths, request.network->name, request.lock_timeout_ms));
    return realise_locked(paths, request, out);
  }();
  if (!done) return fail(done.error().with("network " + request.network->name));
  return out;
}

Result<void> unrealise(const Paths& paths, const std::string& network) {
  FL_TRY(Fd lock, lock_network(paths, network, kLockTimeoutMs));
  FL_TRY(auto endpoints, list_documents(paths.endpoints(network)));
  if (!endpoints.empty())
    return fail("network " + network + " has " + std::to_string(endpoints.size()) + " endpoints on this node");
  auto router = load_router(paths, network);
  if (router && *router) FL_CHECK(remove_router(**router));
  FL_CHECK(remove_file(paths.router(network)));
  FL_CHECK(release_index(paths, network));
  return release_host(paths);
}

namespace {

// What the daemon keeps for all networks at once.
Result<void> protect_by_wireguard(const Paths& paths, const RealiseRequest& request) {
  if (!request.mesh) return {};
  // The host's rules stand before the device that they let packets out by.
  Repairs repairs;
  FL_CHECK(ensure_host(paths, overlay::uses_family(*request.network, AF_INET6), repairs));
  FL_TRY(auto self, node_name(paths));
  FL_TRY(auto nodes, read_nodes(paths));
  auto done = ensure_wireguard(paths, self, wireguard_nodes(nodes), nullptr);
  return done ? Result<void>() : fail(done.error());
}

// The walls before the router, and the router before its device.
Result<void> protect_by_ipsec(const Paths& paths) {
  FL_TRY(auto facts, read_ipsec_facts(paths));
  Repairs uncounted;
  return IpsecGuard().ensure(paths, facts, false, uncounted);
}

Result<void> protect(const Paths& paths, RealiseRequest& request) {
  const std::string& encryption = request.network->encryption;
  if (encryption == "none") return {};
  const auto& missing = encryption == "ipsec" ? missing_for_ipsec() : missing_for_wireguard();
  if (!missing.empty())
    return fail("network " + request.network->name + ": encryption " + encryption +
                " is not possible on this node: " + missing);
  FL_TRY(auto facts, read_egress_facts(paths));
  Repairs uncounted;
  if (auto wall = EgressWall().ensure(paths, facts, uncounted); !wall) log_warning(wall.error().message);
  request.shield = encryption == "ipsec" ? protect_by_ipsec(paths) : protect_by_wireguard(paths, request);
  return {};
}

}  // namespace

Result<void> realise_by_name(const Paths& paths, const std::string& name) {
  FL_TRY(auto network, load_network(paths, name));
  if (!network)
    return fail("network " + name + ": no such network (" + paths.network(name) +
                " is missing; make it with: fairleadctl network create " + name + ")");
  const auto settings = kernel::SysctlTree::open();
  RealiseRequest request{settings, std::make_shared<const Network>(std::move(*network))};
  FL_TRY(auto conflict, read_port_conflict(paths, *request.network));
  if (!conflict.empty()) return fail(conflict);
  FL_TRY(request.mesh, read_mesh(paths, *request.network));
  FL_CHECK(protect(paths, request));
  FL_TRY(auto done, realise(paths, request));
  // Containers can be attached all the same; the daemon goes on trying.
  if (!done.result.overlay)
    fprintf(stderr, "fairlead-agent: network %s between nodes: %s\n", name.c_str(),
            done.result.overlay.error().message.c_str());
  return {};
}

}  // namespace fairlead::agent
