#include "lb/ipvs_balancer.h"

#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/file.h"
#include "kernel/conntrack.h"
#include "kernel/netns.h"
#include "lb/flows.h"
#include "overlay/names.h"

namespace fairlead::lb {
namespace {

// Docker's ingress drops idle connections after IPVS' 900 s; longer than the kernel's keepalive needs to notice a dead
// peer (7200 + 9 × 75 s, tcp(7)).
constexpr uint32_t kTcpSeconds = 7875, kTcpFinSeconds = 120, kUdpSeconds = 300;

constexpr std::pair<const char*, const char*> kSettings[] = {
    {"net/ipv4/vs/conntrack", "1"},                  // hairpin masquerade and the router's filter see IPVS' flows
    {"net/ipv4/vs/expire_nodest_conn", "1"},         // flows of a removed backend end (LB-16, LB-17)
    {"net/ipv4/vs/expire_quiescent_template", "1"},  // affinity does not hold clients on a draining backend (LB-12)
};

// In the namespace of the calling thread. How many were not as they should be.
Result<int> write_settings() {
  int changed = 0;
  for (const auto& [key, value] : kSettings) {
    FL_TRY(auto present, read_sysctl(key));
    if (present && *present == value) continue;
    FL_TRY(bool written, write_sysctl(key, value));
    if (!written) return fail(std::string("the kernel has no setting ") + key, ENOENT);
    changed++;
  }
  return changed;
}

kernel::Message request(const kernel::Ipvs& ipvs, const IpvsChange& c) {
  switch (c.kind) {
    case IpvsChange::kAddService:
      return ipvs.add(c.service);
    case IpvsChange::kSetService:
      return ipvs.set(c.service);
    case IpvsChange::kRemoveService:
      return ipvs.remove(c.service);
    case IpvsChange::kAddDestination:
      return ipvs.add(c.service, c.destination);
    case IpvsChange::kSetDestination:
      return ipvs.set(c.service, c.destination);
    case IpvsChange::kRemoveDestination:
      break;
  }
  return ipvs.remove(c.service, c.destination);
}

FrontendKey key_of(const kernel::IpvsService& s) { return {s.address, s.protocol, s.port}; }

}  // namespace

Result<std::unique_ptr<Balancer>> IpvsBalancer::open(int netns) {
  FL_TRY(auto ipvs, kernel::Ipvs::open());
  if (!ipvs) return fail("this kernel has no IPVS (module ip_vs)");
  FL_TRY(auto table, NftTableKeeper::open());
  FL_TRY(auto flows, kernel::NetlinkSocket::open(NETLINK_NETFILTER));
  FL_CHECK(write_settings());
  kernel::Batch batch;
  batch.push_back(ipvs->set_timeouts(kTcpSeconds, kTcpFinSeconds, kUdpSeconds));
  FL_CHECK(ipvs->socket().run(std::move(batch)));
  return std::unique_ptr<Balancer>(new IpvsBalancer(netns, std::move(*ipvs), std::move(table), std::move(flows)));
}

Result<IpvsTable> IpvsBalancer::read() {
  IpvsTable table;
  FL_TRY(auto services, ipvs_.services());
  for (auto& service : services) {
    auto destinations = ipvs_.destinations(service);
    if (!destinations && destinations.error().sys == ESRCH) continue;  // went meanwhile
    FL_CHECK(destinations);
    FrontendKey key = key_of(service);
    table[key] = {std::move(service), std::move(*destinations)};
  }
  return table;
}

Result<std::vector<Refusal>> IpvsBalancer::run(const std::vector<IpvsChange>& changes) {
  kernel::Batch batch;
  for (const auto& c : changes) batch.push_back(request(ipvs_, c));
  std::vector<std::string> texts;
  FL_TRY(auto results, ipvs_.socket().run_each(std::move(batch), &texts));
  std::vector<Refusal> refused;
  std::set<FrontendKey> missing;
  std::optional<Error> error;
  for (size_t i = 0; i < changes.size(); i++) {
    const IpvsChange& c = changes[i];
    const bool on_service = c.kind == IpvsChange::kAddService || c.kind == IpvsChange::kSetService;
    if (results[i] == 0 || missing.count(c.frontend)) continue;
    if (on_service && results[i] == ENOENT) {
      refused.push_back({c.frontend, plan_.frontends.at(c.frontend).service,
                         "scheduler " + c.service.scheduler + " is not available: this kernel has no module ip_vs_" +
                             c.service.scheduler});
      if (c.kind == IpvsChange::kAddService) missing.insert(c.frontend);
    } else if (!error) {
      error = Error{texts[i], results[i]};
    }
  }
  if (error) return fail(*error);
  return refused;
}

Result<std::vector<Refusal>> IpvsBalancer::apply(const RouterPlan& plan) {
  FL_CHECK(kernel::in_netns(netns_, []() -> Result<void> {
    FL_CHECK(write_settings());
    return {};
  }));
  FL_CHECK(table_.apply(nft_hairpin_table(plan)));
  const bool check_flows = !std::exchange(complete_, false) || flows_may_be_stale(plan_, plan);
  plan_ = plan;
  FL_TRY(auto present, read());
  FL_TRY(auto refusals, run(ipvs_changes(present, ipvs_table(plan_), plan_.own)));
  refused_.clear();
  for (const auto& refusal : refusals) refused_.insert(refusal.frontend);
  if (check_flows) FL_CHECK(drop_preceding_flows());
  complete_ = true;
  return refusals;
}

Result<void> IpvsBalancer::drop_preceding_flows() {
  kernel::Batch batch;
  FL_CHECK(kernel::dump_flows(flows_, [&](const kernel::Flow& flow) {
    if (precedes_frontend(plan_, flow)) batch.push_back(kernel::delete_flow(flow));
  }));
  return flows_.run(std::move(batch));
}

Result<std::vector<std::string>> IpvsBalancer::drift() {
  std::vector<std::string> words;
  FL_TRY(bool table, table_.drifted());
  if (table) words.push_back(std::string("table inet ") + overlay::kLbTable);
  FL_TRY(auto present, read());
  for (const auto& change : ipvs_changes(present, ipvs_table(plan_), plan_.own))
    if (!refused_.count(change.frontend)) words.push_back(change.word());
  FL_CHECK(kernel::in_netns(netns_, [&]() -> Result<void> {
    FL_TRY(int changed, write_settings());
    if (changed) words.push_back("IPVS settings");
    return {};
  }));
  return words;
}

Result<Connections> IpvsBalancer::connections(const std::set<FrontendKey>& of) {
  Connections counts;
  for (const auto& key : of) {
    auto list = ipvs_.destinations({key.address, key.protocol, key.port, "", 0, 0});
    if (!list && list.error().sys == ESRCH) continue;
    FL_CHECK(list);
    for (const auto& d : *list)
      if (d.active + d.inactive > 0) counts[{key, d.address, d.port}] = uint64_t{d.active} + d.inactive;
  }
  return counts;
}

Result<void> remove_ipvs_services(const std::vector<Prefix>& own) {
  // Asking for the family would load the module.
  if (::access("/proc/thread-self/net/ip_vs", F_OK) != 0) return {};
  FL_TRY(auto ipvs, kernel::Ipvs::open());
  if (!ipvs) return {};
  FL_TRY(auto services, ipvs->services());
  IpvsTable present;
  for (const auto& service : services) present[key_of(service)] = {service, {}};
  kernel::Batch batch;
  for (const auto& change : ipvs_changes(present, {}, own)) {
    batch.push_back(ipvs->remove(change.service));
    batch.back().tolerate({ESRCH});
  }
  return ipvs->socket().run(std::move(batch));
}

}  // namespace fairlead::lb
