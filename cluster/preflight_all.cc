// This node with every manager. What does not pass is tried once more: rules of a node that has just joined are still
// being made, and a single lost packet is no news.
#include <algorithm>
#include <cerrno>

#include <nlohmann/json.hpp>

#include "cluster/preflight.h"
#include "cluster/roles.h"

namespace fairlead::cluster {
namespace {

constexpr int kAgainMs = 500, kBusyMs = 300, kBusyTries = 20;
constexpr int64_t kAllMs = 15000;

const char* text_of(PreflightFinding::State state) {
  return state == PreflightFinding::kGood ? "passes" : state == PreflightFinding::kMissing ? "missing" : "unknown";
}

bool all_good(const std::vector<PreflightFinding>& findings) {
  return std::none_of(findings.begin(), findings.end(),
                      [](const auto& f) { return f.state == PreflightFinding::kMissing; });
}

// With one manager that may be busy with another node.
Result<PreflightResult> with_manager(const HostPort& manager, const PreflightEnd& end, ManagerClient& client,
                                     const StopSignal& stop, int64_t deadline) {
  for (int tries = 1;; tries++) {
    FL_TRY(auto connection, client.connect_to_one(manager, end.own));
    auto result = ask_preflight(connection.channel, end, stop);
    const bool busy = !result && result.error().sys == EAGAIN;
    if (!busy || tries == kBusyTries || now_ms() > deadline || !stop.sleep_ms(kBusyMs)) return result;
  }
}

Json describe(const Result<PreflightResult>& result, const HostPort& manager) {
  Json peer{{"address", manager.address.to_string()}};
  if (!result) {
    peer["problem"] = result.error().message;
    return peer;
  }
  peer["name"] = result->peer;
  peer["clockMs"] = result->clock_ms;
  peer["findings"] = Json::array();
  for (const auto& f : findings_of(*result))
    peer["findings"].push_back({{"what", f.what}, {"state", text_of(f.state)}, {"text", f.text}});
  return peer;
}

}  // namespace

Result<Json> preflight_all(const Paths& paths, const Membership& self, ManagerClient& client, const StopSignal& stop) {
  if (!takes_part(self.role)) return fail("who joins as " + self.role + " has no networks; there is nothing to try");
  const int64_t deadline = now_ms() + kAllMs;
  Json peers = Json::array();
  bool good = true;
  for (const auto& manager : client.managers()) {
    if (manager.address == self.address.address) continue;
    FL_TRY(PreflightPorts ports, preflight_ports(paths, self.name));
    const PreflightEnd end{self.name, self.address.address, manager.address, std::move(ports)};
    auto result = with_manager(manager, end, client, stop, deadline);
    if (result && !all_good(findings_of(*result)) && now_ms() < deadline && stop.sleep_ms(kAgainMs))
      if (auto again = with_manager(manager, end, client, stop, deadline)) result = std::move(again);
    if (!result && result.error().sys == ECANCELED) return fail(result.error());
    good = good && result && all_good(findings_of(*result));
    peers.push_back(describe(result, manager));
  }
  return Json{{"good", good}, {"peers", std::move(peers)}};
}

}  // namespace fairlead::cluster
