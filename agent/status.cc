#include "agent/status.h"

#include <nlohmann/json.hpp>

#include "base/json.h"

namespace fairlead::agent {
namespace {

// The kinds are listed even when nothing happened: a rate of something that does not exist cannot be watched.
constexpr const char* kKinds[] = {"address",   "egress", "forward", "forwarding", "limit", "link",
                                  "neighbour", "nft",    "overlay", "policy",     "route", "router",
                                  "stale",     "sysctl", "uplink",  "wireguard"};

std::string metric(const char* name, const char* type, const char* help, const std::string& samples) {
  return std::string("# HELP ") + name + " " + help + "\n# TYPE " + name + " " + type + "\n" + samples;
}

std::string sample(const char* name, uint64_t value) { return std::string(name) + " " + std::to_string(value) + "\n"; }

std::string repairs_text(const Repairs& repairs) {
  std::string samples;
  for (const char* kind : kKinds) {
    auto found = repairs.counts().find(kind);
    samples += std::string("fairlead_repairs_total{kind=\"") + kind + "\"} " +
               std::to_string(found == repairs.counts().end() ? 0 : found->second) + "\n";
  }
  return metric("fairlead_repairs_total", "counter", "Things of ours that were missing in the kernel and put back.",
                samples);
}

std::string metrics_text(const Reconciler& r, const StateView& view, double seconds) {
  size_t problems = view.problems().size() + r.problems().size();
  return repairs_text(r.repairs()) +
         metric("fairlead_endpoints_reaped_total", "counter", "Endpoints released because their namespace was gone.",
                sample("fairlead_endpoints_reaped_total", r.collector().endpoints())) +
         metric("fairlead_leases_collected_total", "counter",
                "Attachments whose addresses were released although no "
                "endpoint had them: their ADD or DEL was killed.",
                sample("fairlead_leases_collected_total", r.collector().leases())) +
         metric("fairlead_networks", "gauge", "Networks this node takes part in.",
                sample("fairlead_networks", r.networks().size())) +
         metric("fairlead_endpoints", "gauge", "Endpoints on this node.",
                sample("fairlead_endpoints", view.endpoints().size())) +
         metric("fairlead_problems", "gauge", "Bad documents and things that could not be done; see /status.",
                sample("fairlead_problems", problems)) +
         metric("fairlead_reconcile_seconds", "gauge", "Duration of the last pass.",
                "fairlead_reconcile_seconds " + std::to_string(seconds) + "\n");
}

Json status_json(const Reconciler& r, const StateView& view, const HostStatus& host, const PoolStatus& pools) {
  Json networks = Json::array();
  for (const auto& [name, n] : r.networks()) {
    Json entry{{"name", name}, {"vni", n.vni}, {"router", n.router}, {"mtu", n.mtu}, {"endpoints", n.endpoints}};
    entry["state"] = n.problem.empty() ? "ready" : "failed";
    if (!n.problem.empty()) entry["problem"] = n.problem;
    networks.push_back(std::move(entry));
  }
  Json problems = Json::array();
  for (const auto& [path, message] : view.problems()) problems.push_back({{"subject", path}, {"message", message}});
  for (const auto& [subject, message] : r.problems()) problems.push_back({{"subject", subject}, {"message", message}});
  for (const auto& message : host.problems) problems.push_back({{"subject", "host"}, {"message", message}});
  // Marked, because fairleadctl counts for itself and would say it twice.
  for (const auto& [network, message] : pools.problems)
    problems.push_back({{"subject", "network " + network}, {"message", message}, {"pool", true}});
  Json forwarding{{"openedIpv4", host.opened4}, {"openedIpv6", host.opened6}};
  return Json{{"program", "fairlead-agent"},
              {"version", FAIRLEAD_VERSION},
              {"networks", networks},
              {"forwarding", forwarding},
              {"problems", problems}};
}

}  // namespace

StatusText describe(const Reconciler& r, const StateView& view, const HostStatus& host, const PoolStatus& pools,
                    const IpsecStatus& ipsec, double seconds) {
  Json status = status_json(r, view, host, pools);
  if (auto peers = ipsec.json(); !peers.is_null()) status["ipsec"] = std::move(peers);
  return {metrics_text(r, view, seconds) + pools.metrics + ipsec.metrics(), dump_json(status, 2) + "\n"};
}

}  // namespace fairlead::agent
