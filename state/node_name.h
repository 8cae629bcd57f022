// The name by which this node is known to the others.
#pragma once

#include <string>

#include "base/result.h"
#include "state/paths.h"

namespace fairlead {

// state/node.json's `name`; without one the host's name up to its first dot, in lower case. An error when node.json is
// bad, or when neither is a name a node may have (base/names.h): one is never guessed.
Result<std::string> node_name(const Paths& paths);

}  // namespace fairlead
