// What GET /metrics and GET /status of fairlead-agent say. Pure text from one pass' results.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "agent/ipsec_status.h"
#include "agent/reconciler.h"
#include "state/view.h"

namespace fairlead::agent {

struct StatusText {
  std::string metrics, status;
};

struct HostStatus {
  // Forwarding was off before fairlead: what is not ours nor through a bridge is dropped (overlay/host_rules.h).
  bool opened4 = false, opened6 = false;
  std::vector<std::string> problems;
};

// How full the pools are (capacity.h).
struct PoolStatus {
  std::string metrics;
  std::vector<std::pair<std::string, std::string>> problems;  // network, message
};

// seconds: how long the pass took.
StatusText describe(const Reconciler& reconciler, const StateView& view, const HostStatus& host,
                    const PoolStatus& pools, const IpsecStatus& ipsec, double seconds);

}  // namespace fairlead::agent
