#include "overlay/mesh_plan.h"

#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

namespace fairlead::overlay {
namespace {

Network network() {
  Network n;
  n.name = "appnet";
  n.vni = 4097;
  n.subnets = {*Prefix::parse("10.32.0.0/16"), *Prefix::parse("fd32::/64")};
  return n;
}

Node node(const std::string& name, uint32_t number, const std::string& address) {
  return {name, number, *Address::parse(address), ""};
}

Blocks blocks() {
  return {{"n1", *Prefix::parse("10.32.0.0/26")},
          {"n2", *Prefix::parse("10.32.0.64/26")},
          {"n2", *Prefix::parse("fd32::1:0/112")},
          {"n2", *Prefix::parse("10.99.0.0/26")},
          {"gone", *Prefix::parse("10.32.0.128/26")}};
}

std::vector<Node> nodes() {
  return {node("n1", 1, "192.0.2.1"), node("n2", 258, "192.0.2.2"), node("n3", 3, "2001:db8::3")};
}

TEST(Mesh, HoldsTheOtherNodesOfTheSameUnderlayWithTheirBlocks) {
  auto mesh = make_mesh(network(), "n1", nodes(), blocks());
  ASSERT_TRUE(mesh);
  EXPECT_EQ(mesh->number, 1u);
  EXPECT_EQ(mesh->underlay.to_string(), "192.0.2.1");
  ASSERT_EQ(mesh->peers.size(), 1u);
  EXPECT_EQ(mesh->peers[0].node, "n2");
  ASSERT_EQ(mesh->peers[0].blocks.size(), 2u) << "what is outside the subnets is nobody's";
  EXPECT_EQ(mesh->unreachable, std::vector<std::string>{"n3"});
}

TEST(Mesh, KnowsWhetherTheNetworkIsDivided) {
  EXPECT_TRUE(make_mesh(network(), "n1", nodes(), blocks())->divided);
  EXPECT_FALSE(make_mesh(network(), "n1", nodes(), {{"n2", *Prefix::parse("10.99.0.0/26")}})->divided);
}

TEST(Mesh, IsNoneForANodeWithoutADocument) { EXPECT_FALSE(make_mesh(network(), "n9", nodes(), blocks())); }

TEST(MeshPlan, SendsBetweenTheWireguardDevicesWhereTheyEncrypt) {
  auto encrypted = network();
  encrypted.encryption = "wireguard";
  auto plan = plan_mesh(encrypted, *make_mesh(encrypted, "n1", nodes(), blocks()), 1390);
  EXPECT_EQ(plan.device.port, 4791);
  EXPECT_EQ(plan.device.local.to_string(), "169.254.128.1");
  ASSERT_EQ(plan.forwarding.size(), 1u);
  EXPECT_EQ(plan.forwarding[0].to.to_string(), "169.254.129.2");
}

TEST(MeshPlan, HasANeighbourPerNodeAndARoutePerBlock) {
  auto plan = plan_mesh(network(), *make_mesh(network(), "n1", nodes(), blocks()), 1450);
  EXPECT_EQ(plan.device.vni, 4097u);
  EXPECT_EQ(plan.device.port, 4789);
  EXPECT_EQ(plan.device.mac.to_string(), "02:57:00:00:00:01");
  ASSERT_EQ(plan.forwarding.size(), 1u);
  EXPECT_EQ(plan.forwarding[0].mac.to_string(), "02:57:00:00:01:02");
  EXPECT_EQ(plan.forwarding[0].to.to_string(), "192.0.2.2");
  ASSERT_EQ(plan.wanted.neighbours.size(), 2u);
  EXPECT_EQ(plan.wanted.neighbours[0].address.to_string(), "169.254.129.2");
  EXPECT_EQ(plan.wanted.neighbours[1].address.to_string(), "fd57:128::102");
  ASSERT_EQ(plan.wanted.routes.size(), 4u) << "two blocks, and a way back to the node in each family";
  EXPECT_EQ(plan.wanted.routes[0].route.table, 0x570102u);
  EXPECT_EQ(plan.wanted.routes[2].route.destination.to_string(), "10.32.0.64/26");
  EXPECT_EQ(plan.wanted.routes[2].route.gateway->to_string(), "169.254.129.2");
  EXPECT_TRUE(plan.wanted.routes[2].route.onlink);
  ASSERT_EQ(plan.wanted.policy.size(), 4u);
  EXPECT_EQ(plan.wanted.policy[0].mark, 0u) << "first those without a mark, in each family";
  EXPECT_LT(plan.wanted.policy[0].priority, plan.wanted.policy[2].priority);
  EXPECT_EQ(plan.wanted.policy[2].mark, 0x57000102u);
  ASSERT_EQ(plan.wanted.addresses.size(), 2u);
  EXPECT_EQ(plan.wanted.addresses[0].prefix.to_string(), "169.254.128.1/32");
}

TEST(MeshPlan, TakesAwayWhatIsOnTheDeviceAndNotWanted) {
  auto plan = plan_mesh(network(), *make_mesh(network(), "n1", nodes(), blocks()), 1450);
  constexpr uint32_t kDevice = 7;
  Observed there;
  for (const auto& r : plan.wanted.routes) {
    there.routes.push_back(r.route);
    there.routes.back().index = kDevice;
  }
  for (const auto& n : plan.wanted.neighbours) there.neighbours.push_back({kDevice, n.address, n.mac, true});
  EXPECT_TRUE(mesh_difference(plan, there, kDevice, plan.forwarding).empty());

  auto forwarding = plan.forwarding;
  forwarding[0].to = *Address::parse("192.0.2.99");
  there.routes[2].gateway = *Address::parse("169.254.128.9");  // its block went to another node
  there.neighbours[0].address = *Address::parse("169.254.128.9");
  there.routes.push_back(there.routes[3]);
  there.routes.back().index = 8;  // of another link
  kernel::Rule gone{AF_INET, kIngressRulePriority, kIngressMark + 9, kIngressTable + 9, {}, 0}, foreign = gone;
  foreign.priority = 5000;
  there.policy = {gone, foreign};
  std::vector<std::string> what;
  for (const auto& repair : mesh_difference(plan, there, kDevice, forwarding))
    what.push_back(std::string(repair.kind) + " " + repair.request.what());
  EXPECT_EQ(what, (std::vector<std::string>{"stale delete route 10.32.0.64/26", "stale delete neighbour 169.254.128.9",
                                            "stale delete rule for mark 1459617801",
                                            "stale delete forwarding entry 02:57:00:00:01:02 to 192.0.2.99",
                                            "forwarding set forwarding entry 02:57:00:00:01:02 to 192.0.2.2"}));
}

TEST(MeshPlan, KnowsADeviceThatHasToBeMadeAnew) {
  auto plan = plan_mesh(network(), *make_mesh(network(), "n1", nodes(), blocks()), 1450);
  kernel::Vxlan there;
  there.vni = 4097;
  there.local = *Address::parse("192.0.2.1");
  there.port = 4789;
  EXPECT_TRUE(same_device(plan.device, there));
  there.local = *Address::parse("192.0.2.7");
  EXPECT_FALSE(same_device(plan.device, there));
  there.local = plan.device.local;
  there.learning = true;
  EXPECT_FALSE(same_device(plan.device, there));
}

}  // namespace
}  // namespace fairlead::overlay
