// What GET /metrics and GET /status of fairlead-agent say. Pure text from one pass' results.
#pragma once

#include <map>
#include <string>
#include <vector>

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

// seconds: how long the pass took.
StatusText describe(const Reconciler& reconciler, const StateView& view, const HostStatus& host, double seconds);

}  // namespace fairlead::agent
