// `fairlead-agent propose DOCUMENT`: what the CNI plugin calls in a cluster for a network that a configuration names
// and nobody knows. It is submitted to the managers by the agent that runs, with this member's role; where that may not
// write networks, it is refused. Of several members at once one makes it, and all have the same.
#pragma once

#include <string>

#include "base/result.h"
#include "state/paths.h"

namespace fairlead::agent {

// document: a network's, vni 0 or no subnets when they are to be chosen. Returns when it is in the state directory.
Result<void> propose_network(const Paths& paths, const std::string& document);

}  // namespace fairlead::agent
