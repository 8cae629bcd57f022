#include "ipam/pool.h"

#include <gtest/gtest.h>

#include <set>

namespace fairlead::ipam {
namespace {

Address addr(const char* text) { return *Address::parse(text); }
Prefix prefix(const char* text) { return *Prefix::parse(text); }
RangeSet set_of(const char* subnet) { return {{*make_range(prefix(subnet))}, {}}; }

std::vector<std::string> texts(const std::vector<Address>& addresses) {
  std::vector<std::string> t;
  for (const auto& a : addresses) t.push_back(a.to_string());
  return t;
}
using Texts = std::vector<std::string>;

TEST(MakeRange, LeavesOutNetworkBroadcastAndGateway) {
  EXPECT_EQ(texts(set_of("10.0.0.0/29").candidates({}, 100)),
            (Texts{"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"}));
  EXPECT_EQ(texts(set_of("fd00::/126").candidates({}, 100)), (Texts{"fd00::2", "fd00::3"}));
}

TEST(MakeRange, RefusesWhatHostLocalRefuses) {
  EXPECT_FALSE(make_range(prefix("10.0.0.0/31")));
  EXPECT_FALSE(make_range(prefix("10.0.0.0/32")));
  EXPECT_FALSE(make_range(prefix("fd00::/127")));
  EXPECT_FALSE(make_range(prefix("10.0.0.5/24")));
  EXPECT_FALSE(make_range(prefix("10.0.0.0/24"), addr("10.0.1.5")));
  EXPECT_FALSE(make_range(prefix("10.0.0.0/24"), addr("10.0.0.9"), addr("10.0.0.8")));
  EXPECT_FALSE(make_range(prefix("10.0.0.0/24"), {}, addr("10.0.0.255")));
  EXPECT_FALSE(make_range(prefix("10.0.0.0/24"), {}, {}, addr("fd00::1")));
  EXPECT_TRUE(make_range(prefix("10.0.0.0/30")));
}

TEST(Candidates, BeginAfterTheLastOneAndWrapAround) {
  auto set = set_of("10.0.0.0/29");
  EXPECT_EQ(texts(set.candidates(addr("10.0.0.4"), 100)),
            (Texts{"10.0.0.5", "10.0.0.6", "10.0.0.2", "10.0.0.3", "10.0.0.4"}));
  EXPECT_EQ(texts(set.candidates(addr("10.0.0.6"), 2)), (Texts{"10.0.0.2", "10.0.0.3"}));
  EXPECT_EQ(texts(set.candidates(addr("10.9.9.9"), 1)), (Texts{"10.0.0.2"}));
}

TEST(Candidates, WalkThroughAllRangesOfASet) {
  RangeSet set{{*make_range(prefix("10.0.0.0/24"), addr("10.0.0.10"), addr("10.0.0.11")),
                *make_range(prefix("10.0.1.0/24"), addr("10.0.1.20"), addr("10.0.1.21"))},
               {}};
  EXPECT_EQ(texts(set.candidates(addr("10.0.0.10"), 100)), (Texts{"10.0.0.11", "10.0.1.20", "10.0.1.21", "10.0.0.10"}));
  EXPECT_EQ(set.capacity(), 4);
}

TEST(Candidates, JumpOverExcludedPrefixesHoweverLargeTheyAre) {
  RangeSet set{{*make_range(prefix("fd00::/64"), addr("fd00::fffe:fffe"))}, {prefix("fd00::ffff:0/112")}};
  EXPECT_EQ(texts(set.candidates({}, 3)), (Texts{"fd00::fffe:fffe", "fd00::fffe:ffff", "fd00::1:0:0"}));
  RangeSet wide{{*make_range(prefix("10.0.0.0/24"))}, {prefix("10.0.0.240/28")}};
  auto all = wide.candidates({}, 1000);
  EXPECT_EQ(all.size(), 238u);  // .2 to .239
  EXPECT_EQ(static_cast<int64_t>(all.size()), wide.capacity());
  EXPECT_EQ(std::set<Address>(all.begin(), all.end()).size(), all.size());
}

TEST(Candidates, EndAtTheLastAddressOfTheFamily) {
  EXPECT_EQ(texts(set_of("255.255.255.252/30").candidates({}, 100)), (Texts{"255.255.255.254"}));
  auto last = set_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126").candidates({}, 100);
  EXPECT_EQ(last.size(), 2u);
}

TEST(Candidates, PassOverThoseThatAreTaken) {
  EXPECT_EQ(texts(set_of("10.0.0.0/29").candidates({}, 2, [](const Address& a) { return a.to_v4() % 2 == 0; })),
            (Texts{"10.0.0.3", "10.0.0.5"}));
}

TEST(Refusal, NamesTheReason) {
  RangeSet set{{*make_range(prefix("10.0.0.0/24"), addr("10.0.0.10"), addr("10.0.0.20"))}, {prefix("10.0.0.16/28")}};
  EXPECT_EQ(set.refusal(addr("10.0.0.12")), "");
  EXPECT_NE(set.refusal(addr("10.0.0.1")).find("gateway"), std::string::npos);
  EXPECT_NE(set.refusal(addr("10.0.0.0")).find("network address"), std::string::npos);
  EXPECT_NE(set.refusal(addr("10.0.0.255")).find("broadcast"), std::string::npos);
  EXPECT_NE(set.refusal(addr("10.0.0.18")).find("VIPs"), std::string::npos);
  EXPECT_NE(set.refusal(addr("10.0.0.9")).find("10.0.0.10 to 10.0.0.20"), std::string::npos);
  EXPECT_NE(set.refusal(addr("10.1.0.9")).find("outside 10.0.0.0/24"), std::string::npos);
}

TEST(Capacity, OfALargeSubnetIsSaturated) { EXPECT_GE(set_of("fd00::/64").capacity(), int64_t{1} << 61); }

TEST(CheckRangeSets, RefusesOverlapsAndMixedFamilies) {
  EXPECT_TRUE(check_range_sets({set_of("10.0.0.0/24"), set_of("10.0.1.0/24"), set_of("fd00::/64")}));
  EXPECT_FALSE(check_range_sets({set_of("10.0.0.0/24"), set_of("10.0.0.0/25")}));
  EXPECT_FALSE(check_range_sets({{{*make_range(prefix("10.0.0.0/24")), *make_range(prefix("fd00::/64"))}, {}}}));
  EXPECT_FALSE(check_range_sets({}));
  EXPECT_FALSE(check_range_sets({RangeSet{}}));
}

TEST(SpansOf, HoldEveryAddressAndBridgeSmallGapsOnly) {
  auto spans = spans_of({addr("10.0.0.5"), addr("10.0.0.7"), addr("10.0.9.0"), addr("10.0.0.2")}, 8);
  ASSERT_EQ(spans.size(), 3u);
  EXPECT_EQ(spans[0], (Span{addr("10.0.0.5"), addr("10.0.0.7")}));
  EXPECT_EQ(spans[2], (Span{addr("10.0.0.2"), addr("10.0.0.2")}));
}

}  // namespace
}  // namespace fairlead::ipam
