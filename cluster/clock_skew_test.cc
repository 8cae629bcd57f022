#include "cluster/clock_skew.h"

#include <gtest/gtest.h>

namespace fairlead::cluster {
namespace {

TEST(ClockSkew, WhatARequestTakesIsNone) {
  for (int64_t measured : {-19, -4, 0, 4, 19}) EXPECT_EQ(noted_skew(0, measured), 0) << measured;
  EXPECT_EQ(noted_skew(0, 20), 20);
  EXPECT_EQ(noted_skew(0, -600), -600);
}

TEST(ClockSkew, IsSaidOnceAndNotWithEveryMeasurementAnew) {
  for (int64_t measured : {581, 596, 600, 604, 619}) EXPECT_EQ(noted_skew(600, measured), 600) << measured;
  EXPECT_EQ(noted_skew(600, 620), 620);
  EXPECT_EQ(noted_skew(600, -600), -600);
}

TEST(ClockSkew, EndsWhenTheClocksAgreeAndNotAtTheVeryBorder) {
  EXPECT_EQ(noted_skew(20, 19), 20);
  EXPECT_EQ(noted_skew(20, 10), 20);
  EXPECT_EQ(noted_skew(20, 9), 0);
  EXPECT_EQ(noted_skew(600, -9), 0);
}

TEST(ClockSkew, Text) {
  EXPECT_EQ(skew_text(600), "10 minutes ahead of");
  EXPECT_EQ(skew_text(-598), "10 minutes behind");
  EXPECT_EQ(skew_text(-45), "45 seconds behind");
  EXPECT_EQ(skew_text(7200), "2 hours ahead of");
  EXPECT_EQ(skew_text(-40 * 86400), "40 days behind");
}

}  // namespace
}  // namespace fairlead::cluster
