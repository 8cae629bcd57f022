#include "agent/router.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <functional>

#include "agent/overlay_link.h"
#include "base/file.h"
#include "kernel/netns.h"
#include "kernel/nft.h"
#include "kernel/sysctl.h"
#include "overlay/names.h"
#include "overlay/shaping.h"

namespace fairlead::agent {
namespace {

using kernel::NetlinkSocket;
using overlay::Observed;
using overlay::RouterPlan;

// What comes up changes what the kernel holds; two rounds settle it, the third finds nothing.
constexpr int kRounds = 3;

uint32_t random_index() {
  uint32_t value = 0;
  while (::getrandom(&value, sizeof value, 0) != sizeof value) {
  }
  return 0x1000000 + (value & 0x3ffffff);  // overlay/attach.cc says why
}

// An open router: its namespace and a socket on either side.
struct Opened {
  Fd netns;
  bool fresh = false;
  std::optional<NetlinkSocket> inside, host;
};

Result<void> ensure_sysctls(const kernel::SysctlTree& settings, const std::vector<overlay::Sysctl>& sysctls, bool fresh,
                            Repairs& repairs) {
  for (const auto& s : sysctls) {
    if (!fresh) {
      FL_TRY(auto value, settings.read(s.key));
      if (!value || *value == s.value) continue;
      repairs.add("sysctl");
    }
    FL_CHECK(settings.write(s.key, s.value));
  }
  return {};
}

Result<Opened> open_router(const RouterWork& work, Repairs& repairs) {
  Opened o;
  const std::string path = kernel::netns_path(work.router.netns);
  auto there = kernel::open_netns(path);
  if (there) {
    o.netns = std::move(*there);
  } else if (there.error().sys != ENOENT && there.error().sys != EINVAL) {
    return fail(there.error());
  } else if (work.kept_netns >= 0) {
    // Somebody took the name away; the namespace lives as long as our descriptor, with every container in it.
    FL_TRY(bool pinned, kernel::pin_netns(work.kept_netns, work.router.netns));
    if (pinned) repairs.add("router");
    FL_TRY(o.netns, kernel::open_netns(path));
  } else {
    FL_TRY(o.netns, kernel::make_netns());
    o.fresh = true;
  }
  FL_TRY(o.host, NetlinkSocket::open(NETLINK_ROUTE));
  FL_CHECK(kernel::in_netns(o.netns.get(), [&]() -> Result<void> {
    FL_TRY(o.inside, NetlinkSocket::open(NETLINK_ROUTE));
    return {};
  }));
  return o;
}

// Inside the namespace: settings and rules, before there is any link they could be late for.
Result<void> ensure_inside(RouterWork& work, const RouterPlan& plan, bool fresh, Repairs& repairs) {
  FL_CHECK(ensure_sysctls(work.settings, plan.sysctls, fresh, repairs));
  if (fresh) work.rules = {};
  FL_TRY(auto nft, kernel::NftSession::open());
  FL_TRY(auto outcome, ensure_rules(nft, overlay::kRouterTable, plan.rules, work.rules));
  if (outcome == RulesOutcome::kRepaired && !fresh) repairs.add("nft");
  return {};
}

Result<void> refuse_foreign(const std::optional<kernel::Link>& link) {
  if (!link || link->kind == "veth") return {};
  return fail("link " + link->name + " on this host is a " + (link->kind.empty() ? "device" : link->kind) +
                  " and not fairlead's; rename it",
              EEXIST);
}

Result<bool> ensure_uplink(const RouterWork& work, const RouterPlan& plan, Opened& o, Repairs& repairs) {
  FL_TRY(auto outside, kernel::find_link(*o.host, work.router.uplink));
  FL_CHECK(refuse_foreign(outside));
  FL_TRY(auto inside, kernel::find_link(*o.inside, overlay::kRouterUplink));
  const bool paired = outside && inside && outside->peer_index == inside->index && inside->peer_index == outside->index;
  if (paired) return false;
  kernel::Batch batch;
  if (outside) batch.push_back(kernel::delete_link(outside->index, outside->name));
  kernel::VethSpec veth;
  veth.name = work.router.uplink;
  veth.peer_name = overlay::kRouterUplink;
  veth.index = random_index();
  veth.peer_index = random_index();
  veth.mac = plan.outside.mac;
  veth.peer_mac = plan.inside.mac;
  veth.mtu = plan.mtu;
  veth.peer_netns = o.netns.get();
  batch.push_back(kernel::add_veth(veth));
  if (inside) {
    kernel::Batch remove;
    remove.push_back(kernel::delete_link(inside->index, inside->name));
    FL_CHECK(o.inside->run(std::move(remove)));
  }
  FL_CHECK(o.host->run(std::move(batch)));
  if (!o.fresh) repairs.add("uplink");
  return true;
}

// Runs everything; the first refusal is reported after the rest was tried.
Result<void> apply(std::vector<overlay::Repair> missing, NetlinkSocket& socket) {
  kernel::Batch batch;
  for (auto& repair : missing) batch.push_back(std::move(repair.request));
  return socket.run(std::move(batch));
}

// Looks, puts right, and looks again until nothing is missing. Containers come and go meanwhile: a refusal is an error
// only when it is still one in the last round.
Result<Observed> settle(const overlay::Wanted& wanted, const std::function<Result<Observed>()>& look,
                        NetlinkSocket& socket, Repairs* repairs, const char* as) {
  Result<void> applied;
  for (int round = 0;; round++) {
    FL_TRY(Observed observed, look());
    auto missing = overlay::difference(wanted, observed);
    if (missing.empty()) return observed;
    if (round == kRounds) return applied ? Result<Observed>(observed) : fail(applied.error());
    if (repairs && round == 0)
      for (const auto& repair : missing) repairs->add(as ? as : repair.kind);
    applied = apply(std::move(missing), socket);
  }
}

// Only this uplink's part of the host's state is read: what else the host has must not cost anything.
Result<Observed> observe_uplink(NetlinkSocket& socket, const std::string& name) {
  Observed o;
  FL_TRY(auto link, kernel::find_link(socket, name));
  if (!link) return o;
  FL_TRY(o.addresses, kernel::dump_addresses(socket, link->index));
  FL_TRY(o.neighbours, kernel::dump_neighbours(socket, link->index));
  o.links.push_back(*link);
  return o;
}

}  // namespace

Result<RouterResult> ensure_router(RouterWork& work, Repairs& repairs) {
  const RouterPlan plan = overlay::plan_router(work.network, work.router, work.mesh);
  FL_TRY(Opened o, open_router(work, repairs));
  FL_CHECK(kernel::in_netns(o.netns.get(), [&] { return ensure_inside(work, plan, o.fresh, repairs); }));
  FL_TRY(bool new_uplink, ensure_uplink(work, plan, o, repairs));
  const bool count = !o.fresh && !new_uplink;
  FL_CHECK(ensure_sysctls(work.settings, plan.outside.sysctls, new_uplink, repairs));
  FL_CHECK(kernel::in_netns(o.netns.get(),
                            [&] { return ensure_sysctls(work.settings, plan.inside.sysctls, new_uplink, repairs); }));
  FL_TRY(Observed outside,
         settle(
             overlay::wanted_on_host(plan, work.router), [&] { return observe_uplink(*o.host, work.router.uplink); },
             *o.host, count ? &repairs : nullptr, "uplink"));
  auto wanted = overlay::wanted_in_router(plan);
  for (const auto& endpoint : work.endpoints) overlay::add_endpoint(wanted, *endpoint);
  RouterResult result;
  FL_TRY(result.observed,
         settle(
             wanted, [&] { return overlay::observe(*o.inside); }, *o.inside, count ? &repairs : nullptr, nullptr));
  result.overlay =
      ensure_overlay({work.network, work.mesh, plan.mtu, o.netns.get(), *o.inside, *o.host, work.settings, work.shield},
                     count && !work.mesh_changed ? &repairs : nullptr);
  const auto& links = result.observed.links;
  if (std::any_of(links.begin(), links.end(), [](const auto& link) { return link.kind == "ifb"; }))
    FL_CHECK(overlay::remove_stray_devices(*o.inside));
  if (o.fresh) {
    FL_TRY(bool pinned, kernel::pin_netns(o.netns.get(), work.router.netns));
    if (!pinned) return fail("network namespace " + work.router.netns + " was made by somebody else meanwhile", EEXIST);
  }
  result.made = o.fresh;
  result.netns = std::move(o.netns);
  return result;
}

Result<void> remove_router(const Router& router) {
  FL_TRY(auto socket, NetlinkSocket::open(NETLINK_ROUTE));
  FL_TRY(auto uplink, kernel::find_link(socket, router.uplink));
  if (uplink && uplink->kind == "veth") {
    kernel::Batch batch;
    batch.push_back(kernel::delete_link(uplink->index, uplink->name));
    FL_CHECK(socket.run(std::move(batch)));
  }
  FL_TRY(bool removed, kernel::remove_pinned_netns(router.netns));
  (void)removed;
  return {};
}

}  // namespace fairlead::agent
