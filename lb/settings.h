// Which balancer this node uses.
#pragma once

#include <string>
#include <vector>

#include "lb/router_control.h"
#include "state/paths.h"

namespace fairlead::lb {

// "ipvs", "nft" or "auto": from the arguments (--balancer X), else from the key "balancer" of STATE/node.json, else
// auto. Errors with sys EINVAL are mistakes of the command line.
Result<std::string> balancer_wanted(const std::vector<std::string>& arguments, const Paths& paths);

// auto: ipvs when this kernel has it. Asked for by name, a missing IPVS is an error: never a silent substitute.
Result<BalancerKind> choose_balancer(const std::string& wanted);

}  // namespace fairlead::lb
