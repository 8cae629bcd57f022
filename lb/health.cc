#include "lb/health.h"

#include <algorithm>

namespace fairlead::lb {

bool HealthState::observe(CheckResult result, int64_t started_ms, int64_t now_ms) {
  const bool good = result == CheckResult::kGood;
  next_ms_ = std::max(now_ms, started_ms + config_.interval_ms);
  if (good == healthy_) {
    in_a_row_ = 0;
    return false;
  }
  in_a_row_++;
  if (in_a_row_ == 1) first_failure_ms_ = started_ms;
  if (in_a_row_ >= (good ? config_.healthy_after : config_.unhealthy_after)) {
    in_a_row_ = 0;
    healthy_ = good;
    return true;
  }
  if (result == CheckResult::kTimedOut && healthy_) {
    int64_t due = first_failure_ms_ + static_cast<int64_t>(in_a_row_) * config_.interval_ms - config_.timeout_ms;
    next_ms_ = std::max(now_ms, due);
  }
  return false;
}

}  // namespace fairlead::lb
