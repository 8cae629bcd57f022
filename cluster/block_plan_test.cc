#include "cluster/block_plan.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace fairlead::cluster {
namespace {

Prefix prefix(const std::string& text) { return *Prefix::parse(text); }
Address address(const std::string& text) { return *Address::parse(text); }
Network network(const std::vector<std::string>& subnets, uint32_t length4 = 0) {
  Network n;
  n.name = "net";
  n.vni = 4097;
  for (const auto& s : subnets) n.subnets.push_back(prefix(s));
  EXPECT_TRUE(set_block_lengths(n, length4, 0));
  return n;
}
std::string text(const std::optional<Prefix>& p) { return p ? p->to_string() : "none"; }
std::string chosen(const Network& n, const std::vector<Prefix>& taken) {
  return text(choose_block(n, n.subnets[0], taken));
}

TEST(BlockPlan, BlocksAreOfTheSizeTheSubnetSuggestsOrTheNetworkSays) {
  EXPECT_EQ(chosen(network({"10.32.0.0/16"}), {}), "10.32.0.0/26");
  EXPECT_EQ(chosen(network({"10.32.0.0/20"}), {}), "10.32.0.0/26");
  EXPECT_EQ(chosen(network({"10.32.0.0/24"}), {}), "10.32.0.0/28");
  EXPECT_EQ(chosen(network({"10.32.0.0/28"}), {}), "10.32.0.0/30");
  EXPECT_EQ(chosen(network({"10.32.0.0/29"}), {}), "10.32.0.0/30");
  EXPECT_EQ(chosen(network({"fd32::/64"}), {}), "fd32::/112");
  EXPECT_EQ(chosen(network({"fd32::/120"}), {}), "fd32::/124");
  EXPECT_EQ(chosen(network({"10.32.0.0/16"}, 24), {}), "10.32.0.0/24");
  Network n = network({"10.32.0.0/24"});
  EXPECT_FALSE(set_block_lengths(n, 23, 0)) << "larger than the subnet";
}

TEST(BlockPlan, WhatIsTakenIsNotChosenAndTheVipPoolIsTaken) {
  const Network n = network({"10.32.0.0/24"});
  EXPECT_EQ(chosen(n, {prefix("10.32.0.0/28"), prefix("10.32.0.21/32")}), "10.32.0.32/28");
  EXPECT_EQ(chosen(n, {prefix("10.32.0.0/25"), prefix("10.32.0.128/26"), prefix("10.32.0.192/27")}), "10.32.0.224/28");
  // 10.32.0.240/28 is the pool.
  EXPECT_EQ(
      chosen(n, {prefix("10.32.0.0/25"), prefix("10.32.0.128/26"), prefix("10.32.0.192/27"), prefix("10.32.0.224/29")}),
      "10.32.0.232/29")
      << "what is left, when no whole block is";
  EXPECT_EQ(chosen(n, {prefix("10.32.0.0/24")}), "none");
}

TEST(BlockPlan, TheLastAddressesAreChosenOneByOneAndNeverWhatNoContainerGets) {
  const Network n = network({"10.32.0.0/28"});
  std::vector<Prefix> taken;
  std::set<std::string> single;
  while (auto block = choose_block(n, n.subnets[0], taken)) {
    for (const auto& other : taken) EXPECT_FALSE(other.overlaps(*block)) << block->to_string();
    taken.push_back(*block);
    ASSERT_LT(taken.size(), 20u);
  }
  for (int i = 2; i < 15; i++) EXPECT_TRUE(covers(taken, prefix("10.32.0." + std::to_string(i) + "/32"))) << i;
  EXPECT_EQ(chosen(n, {prefix("10.32.0.2/31"), prefix("10.32.0.4/30"), prefix("10.32.0.8/29")}), "none")
      << "network and gateway are left";
}

TEST(BlockPlan, WhatManyChooseOneAfterTheOtherNeverOverlaps) {
  const Network n = network({"10.32.0.0/20", "fd32::/64"});
  std::vector<Prefix> taken;
  for (int i = 0; i < 200; i++)
    for (const auto& subnet : n.subnets) {
      auto block = choose_block(n, subnet, taken);
      if (!block) continue;
      for (const auto& other : taken) ASSERT_FALSE(other.overlaps(*block));
      ASSERT_FALSE(n.vip_pool(subnet.family())->overlaps(*block));
      taken.push_back(*block);
    }
  EXPECT_GE(taken.size(), 260u);
}

TEST(BlockPlan, ABlockAroundAnAddressIsAsLargeAsIsFree) {
  const Network n = network({"10.32.0.0/24"});
  EXPECT_EQ(text(block_around(n, address("10.32.0.37"), {})), "10.32.0.32/28");
  EXPECT_EQ(text(block_around(n, address("10.32.0.37"), {prefix("10.32.0.40/29")})), "10.32.0.32/29");
  EXPECT_EQ(text(block_around(n, address("10.32.0.37"), {prefix("10.32.0.37/32")})), "none");
  EXPECT_EQ(text(block_around(n, address("10.32.0.250"), {})), "none") << "a VIP's";
  EXPECT_EQ(text(block_around(n, address("10.33.0.1"), {})), "none");
}

TEST(BlockPlan, PartsAreTakenOutAndPutTogetherAgain) {
  const Network n = network({"10.32.0.0/24"});
  auto left = without({prefix("10.32.0.0/28"), prefix("10.32.0.64/28")}, prefix("10.32.0.4/30"));
  EXPECT_EQ(left, (std::vector<Prefix>{prefix("10.32.0.8/29"), prefix("10.32.0.0/30"), prefix("10.32.0.64/28")}));
  left.push_back(prefix("10.32.0.4/30"));
  EXPECT_EQ(joined(n, left), (std::vector<Prefix>{prefix("10.32.0.0/28"), prefix("10.32.0.64/28")}));
  EXPECT_EQ(joined(n, {prefix("10.32.0.0/28"), prefix("10.32.0.16/28")}).size(), 2u) << "not beyond a block";
  EXPECT_TRUE(covers(left, prefix("10.32.0.0/28")));
  EXPECT_FALSE(covers(left, prefix("10.32.0.0/27")));
}

TEST(BlockPlan, WhatIsGivenBackHoldsNoUsedAddressAndIsNotMoreThanAsked) {
  const Prefix subnet = prefix("10.32.0.0/24");
  const std::vector<Prefix> blocks{prefix("10.32.0.0/28"), prefix("10.32.0.16/28")};
  EXPECT_EQ(text(unused_part(blocks, subnet, {address("10.32.0.2")}, 100)), "10.32.0.16/28");
  EXPECT_EQ(text(unused_part(blocks, subnet, {address("10.32.0.17")}, 8)), "10.32.0.24/29");
  EXPECT_EQ(text(unused_part({prefix("10.32.0.0/30")}, subnet, {address("10.32.0.2")}, 8)), "10.32.0.3/32");
  EXPECT_EQ(text(unused_part({prefix("10.32.0.0/30")}, subnet, {address("10.32.0.2"), address("10.32.0.3")}, 8)),
            "none");
  EXPECT_EQ(text(unused_part({prefix("fd32::/112")}, prefix("fd32::/64"), {address("fd32::2")}, 1 << 15)),
            "fd32::8000/113");
}

}  // namespace
}  // namespace fairlead::cluster
