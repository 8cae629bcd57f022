#include "overlay/shaping.h"

#include <gtest/gtest.h>

#include "overlay/names.h"

namespace fairlead::overlay {
namespace {

Endpoint with(Bandwidth bandwidth) {
  Endpoint e;
  e.network = "appnet";
  e.container = "3f9c";
  e.ifname = "eth0";
  e.bandwidth = bandwidth;
  return e;
}

TEST(Shaping, CNI069BitsBecomeBytesAndWhatWaitsIsAtMost25MsLate) {
  auto shaping = shaping_of(with({8'000'000, 1'600'000, 80'000'000, 800'000}), 1450);
  EXPECT_EQ(shaping.into, (kernel::TokenBucket{1'000'000, 200'000, 225'000}));
  EXPECT_EQ(shaping.out, (kernel::TokenBucket{10'000'000, 100'000, 350'000}));
  EXPECT_EQ(shaping_requests(shaping, 7, 8).size(), 6u);
}

TEST(Shaping, NoRateIsNoLimit) {
  EXPECT_FALSE(shaping_of(with({}), 1450).any());
  auto one = shaping_of(with({0, 0, 8000, 8000}), 1450);
  EXPECT_FALSE(one.into);
  EXPECT_TRUE(one.out);
  EXPECT_EQ(shaping_requests(one, 7, 8).size(), 5u);
}

TEST(Shaping, ABurstHoldsAPacketAndNothingOverflows) {
  EXPECT_EQ(shaping_of(with({8000, 8, 0, 0}), 1450).into->burst, 1464u);
  // What containerd sends when a pod names a rate only.
  auto containerd = shaping_of(with({1'000'000, 4294967295, 0, 0}), 1450);
  EXPECT_EQ(containerd.into->burst, 536870911u);
  auto most = shaping_of(with({kMaxRateBits, kMaxBurstBits, 0, 0}), 1450);
  EXPECT_EQ(most.into->burst, UINT32_MAX);
  EXPECT_EQ(most.into->limit, UINT32_MAX);
  EXPECT_EQ(most.into->rate, kMaxRateBits / 8);
}

TEST(Shaping, TheDeviceHasANameOfItsOwnOfLegalLength) {
  auto shaping = shaping_of(with({0, 0, 8000, 8000}), 1450);
  EXPECT_EQ(shaping.ifb.size(), 15u);
  EXPECT_EQ(shaping.ifb[0], 'b');
  EXPECT_EQ(shaping.ifb.substr(1), host_ifname("appnet", "3f9c", "eth0").substr(1));
}

}  // namespace
}  // namespace fairlead::overlay
