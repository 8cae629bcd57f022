// Whether this node's directory is as the managers' store says: both are read anew and compared document by document.
//
// Promise: nothing is changed. What differs while changes are under way is looked at again for kPatienceMs; what
// differs each time is named. Both directions: what this node has of the cluster, and what the store has of this node.
// Threads: stateless.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "cluster/manager_client.h"

namespace fairlead::cluster {

struct CheckResult {
  int64_t revision = 0;                            // of the store when it was compared
  size_t documents = 0;                            // that were compared
  std::map<std::string, std::string> differences;  // by key, in words
};
// {"inStep":…,"revision":…,"documents":…,"differences":{KEY:TEXT}}; of very many differences the first hundred.
Json to_json(const CheckResult& result);

inline constexpr int64_t kPatienceMs = 3000;
Result<CheckResult> check_directory(const Paths& paths, const Membership& self, ManagerClient& client,
                                    const StopSignal& stop);

}  // namespace fairlead::cluster
