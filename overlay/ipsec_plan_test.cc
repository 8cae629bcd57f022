#include "overlay/ipsec_plan.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>

namespace fairlead::overlay {
namespace {

using kernel::Direction;
using kernel::Policy;

Network network(const std::string& name, const std::string& encryption, uint32_t port = 0) {
  Network n;
  n.name = name;
  n.encryption = encryption;
  n.vxlan_port = port;
  return n;
}

Node node(const std::string& name, uint32_t number, const std::string& address) {
  Node n;
  n.name = name;
  n.number = number;
  n.address = *Address::parse(address);
  return n;
}

const std::vector<Node> kNodes{node("n1", 1, "192.0.2.1"), node("n2", 2, "192.0.2.2"), node("n3", 3, "2001:db8::3")};

IpsecFacts facts() { return ipsec_facts({network("a", "ipsec"), network("b", "none")}, kNodes, "n1"); }

bool has(const std::vector<Policy>& list, const Policy& policy) {
  return std::find(list.begin(), list.end(), policy) != list.end();
}

TEST(IpsecPlan, EveryDirectionAndFamilyOfAnEncryptedPortIsBlockedFirst) {
  auto plan = plan_policies(facts());
  ASSERT_GE(plan.size(), 6u);
  for (size_t i = 0; i < 6; i++) EXPECT_FALSE(plan[i].esp) << plan[i].to_string();
  for (auto direction : {Direction::kIn, Direction::kOut, Direction::kForward})
    for (int family : {AF_INET, AF_INET6}) EXPECT_TRUE(has(plan, block_policy(direction, family, 4790)));
}

TEST(IpsecPlan, APeerIsAdmittedOnlyThroughOneOfOurAssociations) {
  auto plan = plan_policies(facts());
  ASSERT_EQ(plan.size(), 7u);  // n3's address is of the other family
  const Policy& in = plan.back();
  EXPECT_EQ(in.direction, Direction::kIn);
  EXPECT_EQ(in.to_string(), "in 192.0.2.2/32 -> 192.0.2.1/32 udp 4790");
  EXPECT_EQ(in.esp->request_id, kernel::kRequestId);
  EXPECT_LT(in.priority, kBlockPriority);
}

TEST(IpsecPlan, NothingIsPlannedForSending) {
  for (const auto& p : plan_policies(facts())) EXPECT_FALSE(p.esp && p.direction == Direction::kOut);
}

TEST(IpsecPlan, ANetworkWithoutPeersIsBlockedAllTheSame) {
  auto plan = plan_policies(ipsec_facts({network("a", "ipsec", 7000)}, {kNodes[0]}, "n1"));
  EXPECT_EQ(plan.size(), 6u);
  EXPECT_EQ(plan[0].port, 7000);
}

TEST(IpsecPlan, ANodeThatIsAloneAndOneWithoutEncryptedNetworksHaveNone) {
  EXPECT_TRUE(plan_policies(ipsec_facts({network("a", "ipsec")}, kNodes, "somebody")).empty());
  EXPECT_TRUE(plan_policies(ipsec_facts({network("a", "none"), network("w", "wireguard")}, kNodes, "n1")).empty());
}

TEST(IpsecPlan, WhatIsThereAndRightIsNoDifference) {
  auto there = plan_policies(facts());
  there.push_back(peer_policy(Direction::kOut, facts().self, facts().peers[0], 4790, 0x1234));
  auto difference = compare_policies(facts(), {4790}, there);
  EXPECT_TRUE(difference.missing.empty() && difference.stale.empty());
}

TEST(IpsecPlan, APolicyThatWasChangedIsSetAgain) {
  auto there = plan_policies(facts());
  there[0].priority = 3000;
  there[6].esp->request_id = 1;
  auto difference = compare_policies(facts(), {4790}, there);
  EXPECT_EQ(difference.missing.size(), 2u);
  EXPECT_TRUE(difference.stale.empty());
}

TEST(IpsecPlan, OfAPeerThatWentTheDoorIsShut) {
  auto there = plan_policies(facts());
  auto alone = ipsec_facts({network("a", "ipsec")}, {kNodes[0]}, "n1");
  auto difference = compare_policies(alone, {4790}, there);
  ASSERT_EQ(difference.stale.size(), 1u);
  EXPECT_EQ(difference.stale[0], there.back());
}

TEST(IpsecPlan, OfAPortThatIsEncryptedNoLongerTheWallsGoLast) {
  auto there = plan_policies(facts());
  there.push_back(peer_policy(Direction::kOut, facts().self, facts().peers[0], 4790, 7));
  auto difference = compare_policies({}, {4790}, there);
  ASSERT_EQ(difference.stale.size(), 8u);
  EXPECT_TRUE(difference.stale[0].esp && difference.stale[1].esp);
  EXPECT_FALSE(difference.stale[2].esp);
}

TEST(IpsecPlan, WhatIsNotOursIsLeftAlone) {
  Policy foreign = peer_policy(Direction::kIn, facts().self, facts().peers[0], 4790);
  foreign.esp->request_id = 42;
  foreign.source = *Prefix::parse("198.51.100.0/24");
  EXPECT_TRUE(compare_policies({}, {4790}, {foreign}).stale.empty());
  EXPECT_TRUE(compare_policies({}, {}, {block_policy(Direction::kIn, AF_INET, 9999)}).stale.empty());
}

TEST(IpsecPlan, ARefusedNetworkDoesNotBlockThePortOfTheOther) {
  EXPECT_TRUE(ipsec_facts({network("a", "ipsec", 4789), network("b", "none")}, kNodes, "n1").ports.empty());
}

}  // namespace
}  // namespace fairlead::overlay
