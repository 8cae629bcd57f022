// What CHECK and STATUS want to see in a router besides the endpoints: what every container of the network needs.
// The agent's reconciler looks at more and repairs it; this is only to know, in about 0.1 ms and without libnftables.
#pragma once

#include <set>
#include <string>

#include "base/result.h"
#include "state/records.h"

namespace fairlead::overlay {

// The first thing that is missing, in words: uplink, gateway address, nftables table, rules of a chain; "" when all is
// there. To be called in the router's namespace.
Result<std::string> missing_in_router(const Network& network, const Router& router);

// The chains that have rules in a ruleset as router_rules() makes it. Pure.
std::set<std::string> chains_with_rules_in(const std::string& rules);

}  // namespace fairlead::overlay
