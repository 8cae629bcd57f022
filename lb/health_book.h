// What is known about the health of this node's backends: verdicts of the checker, and run/health documents that tell
// the others (DNS, fairleadctl) and this process after a restart.
// Threads: one.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "base/result.h"
#include "lb/checker.h"
#include "state/view.h"

namespace fairlead::lb {

enum class Verdict {
  kHealthy,
  kPending,  // new; has not proved itself yet
  kUnhealthy,
};

class HealthBook {
 public:
  // Verdicts of an earlier process count only while `restarting`: who is not named in a service's document was healthy.
  void restore(const std::map<ObjectKey, std::shared_ptr<const ServiceHealth>>& documents);
  void end_of_restart() { restored_.clear(); }

  // Of a backend of a service with health checks. A backend nobody has heard of becomes pending.
  Verdict verdict(const BackendName& backend);
  void set(const BackendName& backend, bool healthy);
  // Forgets backends that are not checked any more.
  void keep_only(const std::map<BackendName, CheckPlan>& checks);

  // The documents of these services, as they should be; empty lists included.
  std::map<ObjectKey, ServiceHealth> documents(const std::set<ObjectKey>& services) const;
  uint32_t unhealthy(const ObjectKey& service) const;
  uint64_t transitions(const ObjectKey& service) const;

 private:
  std::map<BackendName, Verdict> verdicts_;
  std::map<ObjectKey, uint64_t> transitions_;
  std::map<ObjectKey, std::shared_ptr<const ServiceHealth>> restored_;
};

// Writes the documents that differ from what is in the directory, removes those of other services. Errors: the first.
Result<void> save_health(const Paths& paths, const std::map<ObjectKey, ServiceHealth>& wanted,
                         const std::map<ObjectKey, std::shared_ptr<const ServiceHealth>>& present,
                         std::map<ObjectKey, ServiceHealth>& written);

}  // namespace fairlead::lb
