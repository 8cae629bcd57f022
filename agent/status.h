// What GET /metrics and GET /status of fairlead-agent say. Pure text from one pass' results.
#pragma once

#include <map>
#include <string>

#include "agent/reconciler.h"
#include "state/view.h"

namespace fairlead::agent {

struct StatusText {
  std::string metrics, status;
};

// seconds: how long the pass took.
StatusText describe(const Reconciler& reconciler, const StateView& view, const std::vector<std::string>& host_problems,
                    double seconds);

}  // namespace fairlead::agent
