// How far a member has ever seen the store, in state/cluster-revision.json. A store that is behind that was put back
// from a copy. It is a lower bound: written every few seconds, and when the agent ends.
// Threads: stateless.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "state/paths.h"

namespace fairlead::cluster {

int64_t load_seen_revision(const Paths& paths, const std::string& cluster);  // 0: nothing, or of another cluster
Result<void> save_seen_revision(const Paths& paths, const std::string& cluster, int64_t revision);

}  // namespace fairlead::cluster
