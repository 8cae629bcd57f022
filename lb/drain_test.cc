#include "lb/drain.h"

#include <gtest/gtest.h>

namespace fairlead::lb {
namespace {

const BackendName kTask{"appnet", "web", "t2-eth0"};

TEST(DrainClock, LB14LastsUntilTheTimeIsOver) {
  DrainClock clock;
  EXPECT_EQ(clock.standing(kTask, 1000, 10000), Standing::kDraining);
  EXPECT_EQ(clock.standing(kTask, 10999, 10000), Standing::kDraining);
  EXPECT_FALSE(clock.expired(10999));
  EXPECT_TRUE(clock.expired(11000));
  EXPECT_EQ(clock.standing(kTask, 11000, 10000), Standing::kOut);
  EXPECT_FALSE(clock.expired(20000));
}

TEST(DrainClock, LB14EndsWithTheLastConnection) {
  DrainClock clock;
  clock.standing(kTask, 0, 10000);
  EXPECT_EQ(clock.draining().count(kTask), 1u);
  clock.finish(kTask);
  EXPECT_EQ(clock.standing(kTask, 1, 10000), Standing::kOut);
  EXPECT_TRUE(clock.draining().empty());
}

TEST(DrainClock, ABackendThatMayStayAfterAllStartsFromTheBeginningNextTime) {
  DrainClock clock;
  clock.begin_round();
  clock.standing(kTask, 0, 100);
  clock.end_round();
  clock.begin_round();
  clock.end_round();  // nobody asked: it is wanted again
  EXPECT_EQ(clock.standing(kTask, 1000, 100), Standing::kDraining);
}

TEST(DrainClock, WithoutDrainTimeABackendIsOutAtOnce) {
  DrainClock clock;
  EXPECT_EQ(clock.standing(kTask, 0, 0), Standing::kOut);
}

}  // namespace
}  // namespace fairlead::lb
