#include "lb/health.h"

#include <gtest/gtest.h>

namespace fairlead::lb {
namespace {

HealthCheck config(uint32_t unhealthy_after, uint32_t healthy_after = 1) {
  HealthCheck c;
  c.interval_ms = 1000;
  c.timeout_ms = 500;
  c.unhealthy_after = unhealthy_after;
  c.healthy_after = healthy_after;
  return c;
}

// Checks in the state's own rhythm from its next one on until the verdict changes; milliseconds from start.
int64_t until_change(HealthState& state, CheckResult result, int64_t takes_ms) {
  for (int i = 0; i < 100; i++) {
    int64_t started = state.next_ms();
    if (state.observe(result, started, started + takes_ms)) return started + takes_ms;
  }
  return -1;
}

TEST(HealthState, LB28RefusalsAreDownWithinIntervalTimesFailures) {
  for (uint32_t n : {1u, 2u, 3u, 10u}) {
    HealthState state(config(n), true, 1000);  // the last good check was at 0
    EXPECT_EQ(until_change(state, CheckResult::kRefused, 0), 1000 * n);
  }
}

TEST(HealthState, LB28SilenceIsDownWithinIntervalTimesFailures) {
  for (uint32_t n : {2u, 3u, 10u}) {
    HealthState state(config(n), true, 1000);
    EXPECT_EQ(until_change(state, CheckResult::kTimedOut, 500), 1000 * n) << n;
  }
  HealthState once(config(1), true, 1000);
  EXPECT_EQ(until_change(once, CheckResult::kTimedOut, 500), 1500);
}

TEST(HealthState, LB28ATimeoutAsLongAsTheIntervalNeedsNoOverlap) {
  HealthCheck c = config(3);
  c.timeout_ms = 1000;
  HealthState state(c, true, 1000);
  EXPECT_EQ(until_change(state, CheckResult::kTimedOut, 1000), 4000);
}

TEST(HealthState, LB28ComesUpAfterSuccessesInARow) {
  HealthState state(config(2, 3), false, 0);
  EXPECT_EQ(until_change(state, CheckResult::kGood, 1), 2001);
  EXPECT_TRUE(state.healthy());
}

TEST(HealthState, LB32AlternatingChecksChangeNothing) {
  HealthState state(config(2, 2), true, 0);
  for (int i = 0; i < 100; i++) {
    int64_t started = state.next_ms();
    EXPECT_FALSE(state.observe(i % 2 ? CheckResult::kGood : CheckResult::kRefused, started, started + 1));
  }
  EXPECT_TRUE(state.healthy());
}

TEST(HealthState, ChecksKeepTheInterval) {
  HealthState state(config(2), true, 0);
  for (int i = 0; i < 10; i++) {
    EXPECT_EQ(state.next_ms(), i * 1000);
    state.observe(CheckResult::kGood, state.next_ms(), state.next_ms() + 3);
  }
  // A downed backend is checked no faster than a good one.
  HealthState down(config(1), false, 0);
  down.observe(CheckResult::kTimedOut, 0, 500);
  EXPECT_EQ(down.next_ms(), 1000);
}

}  // namespace
}  // namespace fairlead::lb
