// The verdict on one backend from its checks, and when the next check is due. Pure; the caller brings the clock.
//
// A backend is down after unhealthy_after failures in a row and up after healthy_after successes in a row, so that a
// flapping one changes its state at most once per that many intervals. The verdict "down" is due unhealthy_after
// intervals after the last good check at the latest, also when failing takes the whole timeout: after a check that
// timed out the following ones start early by the timeout. (With unhealthy_after 1 there is no following one, and a
// silent backend is down one timeout later.)
#pragma once

#include <cstdint>

#include "state/records.h"

namespace fairlead::lb {

enum class CheckResult { kGood, kRefused, kTimedOut };

class HealthState {
 public:
  // healthy: the verdict before the first check. first_ms: when that is made.
  HealthState(const HealthCheck& config, bool healthy, int64_t first_ms)
      : config_(config), healthy_(healthy), next_ms_(first_ms) {}

  // The check that started at started_ms ended at now_ms. true: the verdict has changed.
  bool observe(CheckResult result, int64_t started_ms, int64_t now_ms);

  bool healthy() const { return healthy_; }
  int64_t next_ms() const { return next_ms_; }
  const HealthCheck& config() const { return config_; }

 private:
  HealthCheck config_;
  bool healthy_;
  uint32_t in_a_row_ = 0;         // results against the verdict
  int64_t first_failure_ms_ = 0;  // start of the first of them
  int64_t next_ms_;
};

}  // namespace fairlead::lb
