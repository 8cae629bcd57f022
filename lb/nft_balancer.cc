#include "lb/nft_balancer.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include "kernel/conntrack.h"
#include "kernel/nft_dump.h"
#include "lb/flows.h"
#include "lb/schedule.h"
#include "overlay/names.h"

namespace fairlead::lb {
namespace {

constexpr int kTries = 3;

std::vector<std::string> fixed_sets(const NftTable& table) {
  std::vector<std::string> names;
  for (const auto& [name, definition] : table.sets) names.push_back(name);
  return names;
}

}  // namespace

Result<NftTableKeeper> NftTableKeeper::open() {
  FL_TRY(auto session, kernel::NftSession::open());
  FL_TRY(auto socket, kernel::NetlinkSocket::open(NETLINK_NETFILTER));
  return NftTableKeeper(std::move(session), std::move(socket));
}

Result<void> NftTableKeeper::write(const NftTable& wanted) {
  if (applied_) {
    std::string text = nft_transaction(&*applied_, wanted);
    if (text.empty()) return {};
    if (session_.run(text)) return {};
    applied_.reset();  // somebody has interfered: from what is really there
  }
  FL_TRY(auto state, kernel::read_nft_table(socket_, overlay::kLbTable, {}));
  if (!state.exists) return session_.run(nft_transaction(nullptr, wanted));
  if (session_.run(nft_transaction(nullptr, wanted, {state.chains, state.sets, state.maps}))) return {};
  return session_.run(nft_replacement(wanted));
}

Result<void> NftTableKeeper::apply(NftTable wanted) {
  if (applied_ && *applied_ == wanted) return {};
  for (int attempt = 0; attempt < kTries; attempt++) {
    FL_TRY(uint32_t before, session_.generation());
    if (auto written = write(wanted); !written) {
      applied_.reset();
      return fail(written.error());
    }
    FL_TRY(auto state, kernel::read_nft_table(socket_, overlay::kLbTable, fixed_sets(wanted)));
    FL_TRY(generation_, session_.generation());
    digest_ = state.digest;
    // Otherwise somebody else's transaction came between, and what was read may not be what was written.
    if (generation_ == before + 1) break;
    applied_.reset();
  }
  applied_ = std::move(wanted);
  return {};
}

Result<bool> NftTableKeeper::drifted() {
  if (!applied_) return true;
  FL_TRY(uint32_t now, session_.generation());
  if (now == generation_) return false;
  FL_TRY(auto state, kernel::read_nft_table(socket_, overlay::kLbTable, fixed_sets(*applied_)));
  if (state.exists && state.digest == digest_) {
    generation_ = now;
    return false;
  }
  applied_.reset();
  return true;
}

Result<std::unique_ptr<Balancer>> NftBalancer::open() {
  FL_TRY(auto table, NftTableKeeper::open());
  FL_TRY(auto socket, kernel::NetlinkSocket::open(NETLINK_NETFILTER));
  return std::unique_ptr<Balancer>(new NftBalancer(std::move(table), std::move(socket)));
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
  FL_CHECK(table_.apply(nft_table(possible, slots_)));
  const bool check_flows = first_ || flows_may_be_stale(plan_, possible);
  plan_ = std::move(possible);
  if (check_flows) FL_CHECK(drop_stale_flows());
  first_ = false;
  return refused;
}

Result<void> NftBalancer::drop_stale_flows() {
  kernel::Batch batch;
  for (int family : {AF_INET, AF_INET6}) {
    FL_CHECK(kernel::dump_flows(socket_, family, [&](const kernel::Flow& flow) {
      if (is_stale(plan_, flow)) batch.push_back(kernel::delete_flow(flow));
    }));
  }
  return socket_.run(std::move(batch));
}

Result<std::vector<std::string>> NftBalancer::drift() {
  FL_TRY(bool drifted, table_.drifted());
  if (!drifted) return std::vector<std::string>();
  return std::vector<std::string>{std::string("table inet ") + overlay::kLbTable};
}

Result<Connections> NftBalancer::connections() {
  Connections counts;
  for (int family : {AF_INET, AF_INET6})
    FL_CHECK(kernel::dump_flows(socket_, family, [&](const kernel::Flow& flow) {
      if (auto id = backend_of(plan_, flow); id && flow.alive()) counts[*id]++;
    }));
  return counts;
}

Result<void> NftBalancer::follow_load() {
  bool any = false;
  for (const auto& [key, frontend] : plan_.frontends) any = any || follows_load(frontend.scheduler);
  if (!any) return {};
  FL_TRY(Connections counts, connections());
  LoadSlots slots;
  for (const auto& [key, frontend] : plan_.frontends) {
    if (!follows_load(frontend.scheduler)) continue;
    std::vector<Load> loads;
    for (const auto& b : frontend.backends)
      loads.push_back({frontend.scheduler == "lc" ? std::min(b.weight, 1u) : b.weight, counts[{key, b.address, b.port}]});
    auto picks = least_connection_slots(loads);
    if (!picks.empty()) slots[key] = std::move(picks);
  }
  slots_ = std::move(slots);
  return table_.apply(nft_table(plan_, slots_));
}

}  // namespace fairlead::lb
