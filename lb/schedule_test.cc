#include "lb/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace fairlead::lb {
namespace {

using Slots = std::vector<uint32_t>;

long count(const Slots& slots, uint32_t which) { return std::count(slots.begin(), slots.end(), which); }

TEST(WeightedSlots, AreExactForLB03) {
  Slots slots = weighted_slots({3, 1, 0});
  EXPECT_EQ(slots.size(), 4u);
  EXPECT_EQ(count(slots, 0), 3);
  EXPECT_EQ(count(slots, 1), 1);
  EXPECT_EQ(count(slots, 2), 0);
}

TEST(WeightedSlots, SpreadInsteadOfRunning) { EXPECT_EQ(weighted_slots({2, 2, 4}), (Slots{2, 0, 1, 2})); }

TEST(WeightedSlots, OfEqualWeightsAreRoundRobin) { EXPECT_EQ(weighted_slots({7, 7, 7}), (Slots{0, 1, 2})); }

TEST(WeightedSlots, OfNothingAreNone) {
  EXPECT_TRUE(weighted_slots({}).empty());
  EXPECT_TRUE(weighted_slots({0, 0}).empty());
}

TEST(WeightedSlots, StayWithinTheLimitAndForgetNobody) {
  Slots slots = weighted_slots({65535, 1, 65534});
  EXPECT_LE(slots.size(), kMaxSlots);
  EXPECT_EQ(count(slots, 1), 1);
  EXPECT_NEAR(static_cast<double>(count(slots, 0)), 512, 2);
  std::vector<uint32_t> many(3000, 1);
  many[0] = 2;
  EXPECT_LE(weighted_slots(many).size(), kMaxSlots);
}

TEST(LeastConnectionSlots, FillUpTheEmptyOnesFirst) {
  Slots slots = least_connection_slots({{1, 10}, {1, 0}, {1, 5}});
  ASSERT_EQ(slots.size(), kSimulatedPicks);
  EXPECT_EQ(Slots(slots.begin(), slots.begin() + 5), (Slots{1, 1, 1, 1, 1}));
  EXPECT_EQ(Slots(slots.begin() + 5, slots.begin() + 9), (Slots{1, 2, 1, 2}));
}

TEST(LeastConnectionSlots, WeighLoad) {
  Slots slots = least_connection_slots({{3, 0}, {1, 0}});
  EXPECT_EQ(count(slots, 0), 48);
  EXPECT_EQ(count(slots, 1), 16);
}

TEST(LeastConnectionSlots, NeverPickWeightZero) {
  Slots slots = least_connection_slots({{0, 0}, {1, 1000000}});
  EXPECT_EQ(count(slots, 1), static_cast<long>(kSimulatedPicks));
  EXPECT_TRUE(least_connection_slots({{0, 0}}).empty());
}

TEST(MaglevSlots, ShareEvenlyAndMoveFewWhenOneGoes) {
  std::vector<uint32_t> ids = {0x1234567, 0x89abcdef, 0x5555aaaa, 0xdeadbeef};
  Slots four = maglev_slots({1, 1, 1, 1}, ids);
  for (uint32_t i = 0; i < 4; i++) EXPECT_NEAR(static_cast<double>(count(four, i)), 509 / 4.0, 4);
  Slots three = maglev_slots({1, 0, 1, 1}, ids);
  ASSERT_EQ(three.size(), four.size());
  int moved = 0;
  for (size_t i = 0; i < four.size(); i++) moved += four[i] != 1 && four[i] != three[i];
  EXPECT_LT(moved, 509 / 8);
  EXPECT_EQ(count(three, 1), 0);
}

TEST(MaglevSlots, WeighAndCopeWithNothing) {
  Slots slots = maglev_slots({3, 1}, {77, 99});
  EXPECT_NEAR(static_cast<double>(count(slots, 0)) / static_cast<double>(slots.size()), 0.75, 0.02);
  EXPECT_TRUE(maglev_slots({0}, {1}).empty());
  EXPECT_TRUE(maglev_slots({}, {}).empty());
}

}  // namespace
}  // namespace fairlead::lb
