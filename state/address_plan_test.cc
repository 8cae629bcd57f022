#include "state/address_plan.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>

namespace fairlead {
namespace {

Prefix prefix(const char* text) { return *Prefix::parse(text); }

std::vector<std::string> texts(const std::vector<Prefix>& prefixes) {
  std::vector<std::string> out;
  for (const auto& p : prefixes) out.push_back(p.to_string());
  return out;
}

Network network(std::vector<Prefix> subnets) {
  Network n;
  n.name = "appnet";
  n.vni = 4097;
  n.subnets = std::move(subnets);
  return n;
}

using Texts = std::vector<std::string>;

TEST(PlanSubnets, GivesTheFirstFreeAndTheOneOfTheVni) {
  EXPECT_EQ(texts(*plan_subnets(0x1001, {})), (Texts{"10.64.0.0/20", "fdfa:1ead:0:1001::/64"}));
  EXPECT_EQ(texts(*plan_subnets(0xabcdef, {}, true)), (Texts{"10.64.0.0/20", "fdfa:1ead:ab:cdef::/64"}));
  EXPECT_EQ(texts(*plan_subnets(1, {}, false)), (Texts{"10.64.0.0/20"}));
}

TEST(PlanSubnets, GoesAroundWhatIsTakenWhateverItsSize) {
  EXPECT_EQ(texts(*plan_subnets(1, {prefix("10.64.0.0/20"), prefix("10.64.31.255/32")}, false)),
            (Texts{"10.64.32.0/20"}));
  EXPECT_EQ(texts(*plan_subnets(1, {prefix("10.64.0.0/12")}, false)), (Texts{"10.80.0.0/20"}));
}

TEST(PlanSubnets, SaysSoWhenNothingIsFree) {
  EXPECT_TRUE(plan_subnets(1, {prefix("10.64.0.0/11")}, false));
  auto none = plan_subnets(1, {prefix("10.0.0.0/8")}, false);
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("10.64.0.0/10"), std::string::npos);
  EXPECT_FALSE(plan_subnets(1, {prefix("fd00::/8")}));
}

TEST(PlanVips, GivesTheSamePlaceInBothFamiliesAndTheSameToTheSameName) {
  Network n = network({prefix("10.32.0.0/16"), prefix("fd32::/64")});
  auto vips = plan_vips(n, "web", {});
  ASSERT_TRUE(vips);
  ASSERT_EQ(vips->size(), 2u);
  EXPECT_TRUE(n.vip_pool(AF_INET)->contains((*vips)[0]));
  EXPECT_TRUE(n.vip_pool(AF_INET6)->contains((*vips)[1]));
  EXPECT_EQ((*vips)[0].minus(n.vip_pool(AF_INET)->address), (*vips)[1].minus(n.vip_pool(AF_INET6)->address));
  EXPECT_EQ(*plan_vips(n, "web", {}), *vips);
  EXPECT_NE(*plan_vips(n, "db", {}), *vips);
}

TEST(PlanVips, GivesEveryAddressOnceAndThenSaysThatThePoolIsFull) {
  Network n = network({prefix("10.0.0.0/24")});  // the pool is a /28: 14 VIPs
  std::vector<Address> taken;
  for (int i = 0; i < 14; i++) {
    auto vips = plan_vips(n, "s" + std::to_string(i), taken);
    ASSERT_TRUE(vips) << vips.error().message;
    EXPECT_EQ(std::count(taken.begin(), taken.end(), vips->at(0)), 0);
    EXPECT_NE(vips->at(0), prefix("10.0.0.0/24").last());
    taken.push_back(vips->at(0));
  }
  EXPECT_FALSE(plan_vips(n, "one-more", taken));
}

TEST(PlanVips, RefusesANetworkWithoutAPool) {
  EXPECT_FALSE(plan_vips(network({prefix("10.0.0.0/29")}), "web", {}));
  EXPECT_FALSE(plan_vips(network({}), "web", {}));
}

}  // namespace
}  // namespace fairlead
