#include "lb/nft_balancer.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "kernel/conntrack.h"
#include "kernel/netns.h"
#include "lb/flows.h"
#include "lb/ipvs_balancer.h"
#include "lb/schedule.h"
#include "overlay/names.h"

namespace fairlead::lb {
Result<std::unique_ptr<Balancer>> NftBalancer::open(int netns) {
  FL_TRY(auto table, NftTableKeeper::open());
  FL_TRY(auto socket, kernel::NetlinkSocket::open(NETLINK_NETFILTER));
  return std::unique_ptr<Balancer>(new NftBalancer(netns, std::move(table), std::move(socket)));
}

Result<std::vector<Refusal>> NftBalancer::apply(const RouterPlan& plan) {
  RouterPlan possible = plan;
  std::vector<Refusal> refused;
  for (const auto& [key, frontend] : plan.frontends) {
    std::string problem = nft_problem(frontend);
    if (problem.empty()) continue;
    refused.push_back({key, frontend.service, problem});
    auto before = plan_.frontends.find(key);
    if (before != plan_.frontends.end())
      possible.frontends[key] = before->second;
    else
      possible.frontends.erase(key);
  }
  const bool check_flows = first_ || flows_may_be_stale(plan_, possible);
  plan_ = std::move(possible);
  const bool first = std::exchange(first_, true);  // stays so when something fails
  FL_CHECK(table_.apply(nft_table(plan_, slots_), [&]() -> Result<void> {
    // What an ipvs balancer of an earlier process left is of no use from now on.
    if (first) FL_CHECK(kernel::in_netns(netns_, [&] { return remove_ipvs_services(plan_.own); }));
    return check_flows ? drop_stale_flows() : Result<void>();
  }));
  first_ = false;
  return refused;
}

Result<void> NftBalancer::drop_stale_flows() {
  kernel::Batch batch;
  FL_CHECK(kernel::dump_flows(socket_, [&](const kernel::Flow& flow) {
    if (is_stale(plan_, flow)) batch.push_back(kernel::delete_flow(flow));
  }));
  return socket_.run(std::move(batch));
}

Result<std::vector<std::string>> NftBalancer::drift() {
  FL_TRY(bool drifted, table_.drifted());
  if (!drifted) return std::vector<std::string>();
  return std::vector<std::string>{std::string("table inet ") + overlay::kLbTable};
}

Result<Connections> NftBalancer::connections(const std::set<FrontendKey>& of) {
  Connections counts;
  if (of.empty()) return counts;
  FL_CHECK(kernel::dump_flows(socket_, [&](const kernel::Flow& flow) {
    auto id = backend_of(plan_, flow);
    if (id && flow.alive() && of.count(id->frontend)) counts[*id]++;
  }));
  return counts;
}

Result<void> NftBalancer::follow_load() {
  std::set<FrontendKey> following;
  for (const auto& [key, frontend] : plan_.frontends)
    if (follows_load(frontend.scheduler)) following.insert(key);
  if (following.empty()) return {};
  FL_TRY(Connections counts, connections(following));
  LoadSlots slots;
  for (const auto& key : following) {
    const Frontend& frontend = plan_.frontends.at(key);
    std::vector<Load> loads;
    for (const auto& b : frontend.backends)
      loads.push_back(
          {frontend.scheduler == "lc" ? std::min(b.weight, 1u) : b.weight, counts[{key, b.address, b.port}]});
    auto picks = least_connection_slots(loads);
    if (!picks.empty()) slots[key] = std::move(picks);
  }
  slots_ = std::move(slots);
  return table_.apply(nft_table(plan_, slots_));
}

}  // namespace fairlead::lb
