// Takes away what nobody will ever DEL: runtimes forget containers (containerd 1.6's `ctr run -d` never calls DEL,
// nobody in Debian calls GC), and callers are killed. What counts as dead, and why: docs/decisions/0017.
//
//   an endpoint      its namespace is gone and its host end is not in the router
//   a lease of ours  no endpoint has it and there is no host end: an ADD or a DEL was killed
//   another main plugin's lease   this process has seen its namespace at its path and now it is not there any more
//   a file .tmp-…    whoever wrote it was killed a minute ago or longer
//
// Each for as long as the grace period, and looked at once more under the attachment's lock before it is released.
// An address of a foreign IPAM stays with it until a DEL or GC: the agent runs no plugins.
// Cost: nothing per pass; every quarter of the grace period two lstat(2) per lease. Threads: one.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "ipam/lease.h"
#include "state/paths.h"
#include "state/view.h"

namespace fairlead::agent {

using Clock = std::chrono::steady_clock;

class Collector {
 public:
  Collector(Paths paths, std::chrono::milliseconds grace) : paths_(std::move(paths)), grace_(grace) {}

  // An endpoint whose container seems to be gone; to be called as long as it does.
  Result<void> endpoint(const Endpoint& endpoint, Clock::time_point now);
  // It is not gone (any more).
  void keep(const Endpoint& endpoint) { dead_endpoints_.erase({endpoint.network, endpoint.key()}); }

  // Everything that is no endpoint, when its time has come.
  Result<void> sweep(const StateView& view, Clock::time_point now);

  uint64_t endpoints() const { return endpoints_; }
  uint64_t leases() const { return leases_; }

 private:
  // What seemed dead at the sweep before and at this one, and since when; living namespaces of foreign leases.
  struct Memory {
    std::map<std::string, Clock::time_point> dead;
    std::set<std::string> seen;
  };
  Result<void> sweep_leases(const StateView& view, Clock::time_point now);
  std::optional<Fd> judge(const std::string& folder, const ipam::Owner& owner, Clock::time_point now);
  std::optional<Fd> judge_own(const std::string& network, const ipam::Owner& owner, Clock::time_point now);
  bool judge_foreign(const std::string& subject, const ipam::Owner& owner, Clock::time_point now);
  bool due(const std::string& subject, Clock::time_point now);

  Paths paths_;
  std::chrono::milliseconds grace_;
  std::map<ObjectKey, Clock::time_point> dead_endpoints_;
  Memory before_, current_;
  Clock::time_point next_sweep_{};
  uint64_t endpoints_ = 0, leases_ = 0;
};

}  // namespace fairlead::agent
