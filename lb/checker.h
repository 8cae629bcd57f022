// Health checks of this node's backends, made from inside their routers: TCP connects and HTTP requests.
//
// Promise: every target is checked at its own times (health.h), whatever others do: nothing blocks, a black hole costs
// one descriptor for its timeout. Checks come from the network's gateway address and end with a reset, so that a check
// a second leaves neither TIME_WAIT sockets nor two minutes of connection tracking behind.
// Threads: one of its own does all the work; set_targets(), take_changes() and the counters may be used by another.
// Failure: when this process itself cannot make a check (no descriptors left), the target's verdict stays as it is.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "lb/model.h"

namespace fairlead::lb {

struct HealthTarget : CheckPlan {
  std::shared_ptr<Fd> netns;  // the router's
  // The verdict until the first one. A new backend has to prove itself; one that was healthy before a restart of this
  // process has not.
  bool healthy = false;
  bool same_check(const HealthTarget& other) const;
};
using HealthTargets = std::map<BackendName, HealthTarget>;

class HealthChecker {
 public:
  static Result<std::unique_ptr<HealthChecker>> start();
  ~HealthChecker();  // ends the thread

  // Replaces the list. Targets that stay keep their verdict and rhythm.
  void set_targets(HealthTargets targets);
  int fd() const { return changed_.get(); }                  // readable when there are changes
  std::vector<std::pair<BackendName, bool>> take_changes();  // backend, healthy

  uint64_t checks() const { return checks_; }
  uint64_t failures() const { return failures_; }

 private:
  class Loop;
  HealthChecker(Fd wake, Fd changed) : wake_(std::move(wake)), changed_(std::move(changed)) {}

  Fd wake_, changed_;  // eventfds
  std::atomic<uint64_t> checks_{0}, failures_{0};
  std::atomic<bool> end_{false};
  std::mutex mutex_;
  std::shared_ptr<const HealthTargets> targets_;       // guarded by mutex_; null: nothing new
  std::vector<std::pair<BackendName, bool>> changes_;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace fairlead::lb
