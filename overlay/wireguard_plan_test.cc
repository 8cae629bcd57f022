#include "overlay/wireguard_plan.h"

#include <gtest/gtest.h>
#include <linux/rtnetlink.h>

#include <set>

namespace fairlead::overlay {
namespace {

kernel::WireguardKey key(uint8_t n) {
  kernel::WireguardKey k{};
  k.fill(n);
  return k;
}

WireguardNode node(const std::string& name, uint32_t number, const std::string& address, uint8_t k) {
  return {name, number, *Address::parse(address), kWireguardPort, key(k)};
}

std::vector<WireguardNode> nodes() {
  return {node("n1", 1, "192.0.2.1", 1), node("n2", 258, "192.0.2.2", 9), node("n3", 3, "192.0.2.3", 5)};
}

TEST(WireguardAddress, IsEachNodesOwnAndNoneThatCloudsUse) {
  EXPECT_EQ(wireguard_address(258).to_string(), "169.254.129.2");
  std::set<Address> all;
  for (uint32_t number = 1; number <= 32767; number++) all.insert(wireguard_address(number));
  EXPECT_EQ(all.size(), 32767u);
  for (const char* taken : {"169.254.169.254", "169.254.169.253", "169.254.169.123", "169.254.170.2", "169.254.170.23"})
    EXPECT_FALSE(all.count(*Address::parse(taken))) << taken;
  const auto uplinks = *Prefix::parse("169.254.64.0/18");
  for (const auto& address : all) EXPECT_FALSE(uplinks.contains(address)) << address.to_string();
}

TEST(WireguardPlan, HasAPeerPerNodeThatMaySendFromItsAddressOnly) {
  auto plan = plan_wireguard("n1", nodes(), 1500);
  EXPECT_EQ(plan.mtu, 1440u);
  EXPECT_EQ(plan.key, key(1));
  ASSERT_EQ(plan.peers.size(), 2u);
  EXPECT_EQ(plan.peers[0].key, key(5)) << "sorted by key";
  EXPECT_EQ(plan.peers[1].endpoint.to_string(), "192.0.2.2");
  ASSERT_EQ(plan.peers[1].allowed.size(), 1u);
  EXPECT_EQ(plan.peers[1].allowed[0].to_string(), "169.254.129.2/32");
  ASSERT_EQ(plan.wanted.addresses.size(), 1u);
  EXPECT_EQ(plan.wanted.addresses[0].prefix.to_string(), "169.254.128.1/32");
  EXPECT_TRUE(plan.problems.empty());
}

TEST(WireguardPlan, RoutesAPeerToTheDeviceAndElseNowhere) {
  size_t ways = 0, walls = 0;
  for (const auto& planned : plan_wireguard("n1", nodes(), 1500).wanted.routes) {
    EXPECT_EQ(planned.route.destination.length, 32u);
    if (planned.route.type == RTN_UNREACHABLE) {
      walls++;
      EXPECT_GT(planned.route.metric, 0u) << "behind the other one";
      EXPECT_EQ(planned.link, "");
    } else {
      ways++;
      EXPECT_EQ(planned.link, kWireguardLink);
    }
  }
  EXPECT_EQ(ways, 2u);
  EXPECT_EQ(walls, 2u);
}

TEST(WireguardPlan, TrustsNoKeyThatTwoNodesHave) {
  auto all = nodes();
  all[2].key = all[1].key;
  auto plan = plan_wireguard("n1", all, 1500);
  EXPECT_TRUE(plan.peers.empty());
  EXPECT_EQ(plan.problems.size(), 2u);
  EXPECT_EQ(plan.wanted.routes.size(), 4u) << "what is sent to them must not go elsewhere";
}

TEST(WireguardPlan, NamesNodesWithoutAKeyAndLeavesOutOtherFamilies) {
  auto all = nodes();
  all[1].key = {};
  all[2].underlay = *Address::parse("2001:db8::3");
  auto plan = plan_wireguard("n1", all, 1500);
  EXPECT_TRUE(plan.peers.empty());
  EXPECT_EQ(plan.problems, std::vector<std::string>{"n2 has told no WireGuard key yet"});
}

TEST(WireguardPlan, SpendsMoreOnAnIpv6Underlay) {
  EXPECT_EQ(plan_wireguard("n1", {node("n1", 1, "2001:db8::1", 1)}, 1500).mtu, 1420u);
}

TEST(WireguardDifference, PutsBackWhatMovedAndRemovesStrangers) {
  auto plan = plan_wireguard("n1", nodes(), 1500);
  EXPECT_TRUE(wireguard_difference(plan, plan.peers).set.empty());
  auto there = plan.peers;
  there[0].endpoint = *Address::parse("192.0.2.66");
  there[1].key = key(77);
  auto difference = wireguard_difference(plan, there);
  EXPECT_EQ(difference.set.size(), 2u);
  EXPECT_EQ(difference.remove, std::vector<kernel::WireguardKey>{key(77)});
}

TEST(WireguardDifference, ClearsRoutesOfNodesThatWent) {
  auto plan = plan_wireguard("n1", nodes(), 1500);
  std::vector<kernel::Route> routes;
  for (const auto& planned : plan.wanted.routes) routes.push_back(planned.route);
  EXPECT_TRUE(stale_wireguard_routes(plan, routes).empty());
  EXPECT_EQ(stale_wireguard_routes({}, routes).size(), 4u);
  for (auto& route : routes) route.protocol = RTPROT_STATIC;
  EXPECT_TRUE(stale_wireguard_routes({}, routes).empty()) << "not ours";
}

}  // namespace
}  // namespace fairlead::overlay
