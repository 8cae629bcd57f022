#include "lb/host_control.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include "kernel/conntrack.h"
#include "kernel/rtnl.h"
#include "lb/flows.h"
#include "lb/local_routes.h"
#include "overlay/names.h"

namespace fairlead::lb {
namespace {

constexpr uint32_t kLoopbackMetric = 4096;  // above the kernel's own ::1 on lo

}  // namespace

Result<std::unique_ptr<HostControl>> HostControl::open() {
  FL_TRY(auto table, NftTableKeeper::open());
  FL_TRY(auto routes, kernel::NetlinkSocket::open(NETLINK_ROUTE));
  FL_TRY(auto flows, kernel::NetlinkSocket::open(NETLINK_NETFILTER));
  return std::unique_ptr<HostControl>(new HostControl(std::move(table), std::move(routes), std::move(flows)));
}

Result<bool> HostControl::sync_loopback() {
  static const uint8_t one[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  std::vector<LocalRoute> wanted;
  for (const auto& [uplink, index] : plan_.loopback6)
    wanted.push_back({Address::from_bytes(AF_INET6, one), uplink, kLoopbackMetric + index});
  FL_TRY(auto changes, sync_local_routes(routes_, wanted));
  return changes.added > 0;
}

Result<void> HostControl::drop_stale_flows(const HostPlan& before) {
  FL_TRY(auto addresses, kernel::dump_addresses(routes_));
  std::set<Address> local;
  for (const auto& a : addresses) local.insert(a.prefix.address);
  kernel::Batch batch;
  FL_CHECK(kernel::dump_flows(flows_, [&](const kernel::Flow& flow) {
    if (is_stale_on_host(before, plan_, local, flow)) batch.push_back(kernel::delete_flow(flow));
  }));
  return flows_.run(std::move(batch));
}

Result<void> HostControl::apply(const HostPlan& plan) {
  // A host that publishes nothing is left without a trace of ours.
  FL_CHECK(plan.ports.empty() ? table_.remove() : table_.apply(nft_host_table(plan)));
  HostPlan before = std::move(plan_);
  plan_ = plan;
  FL_CHECK(sync_loopback());
  if (first_ || host_flows_may_be_stale(before, plan_)) FL_CHECK(drop_stale_flows(before));
  first_ = false;
  return {};
}

Result<std::vector<std::string>> HostControl::repair() {
  std::vector<std::string> repaired;
  FL_TRY(bool drifted, table_.drifted());
  if (drifted) {
    FL_CHECK(table_.apply(nft_host_table(plan_)));
    FL_CHECK(table_.settle());
    repaired.push_back(std::string("host table inet ") + overlay::kLbTable);
  }
  FL_TRY(bool missing, sync_loopback());
  // An uplink that came back took its route with it: that is the agent's repair, not ours, but it is the same event.
  if (missing) repaired.push_back("route to ::1");
  return repaired;
}

}  // namespace fairlead::lb
