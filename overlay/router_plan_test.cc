#include "overlay/router_plan.h"

#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <set>

#include "overlay/names.h"

namespace fairlead::overlay {
namespace {

Network network(std::vector<std::string> subnets, bool internal = false) {
  Network n;
  n.name = "appnet";
  n.vni = 0x1001;
  n.internal = internal;
  for (const auto& text : subnets) n.subnets.push_back(*Prefix::parse(text));
  return n;
}

RouterPlan plan_of(const Network& n, uint32_t index = 0) { return plan_router(n, make_router(n, index, 1450)); }

std::string value_of(const std::vector<Sysctl>& sysctls, const std::string& key) {
  auto found = std::find_if(sysctls.begin(), sysctls.end(), [&](const Sysctl& s) { return s.key == key; });
  return found == sysctls.end() ? "" : found->value;
}

TEST(RouterPlan, HoldsTheGatewaysAndMakesTheRestOfTheSubnetsUnreachable) {
  auto plan = plan_of(network({"10.32.0.0/16", "fd32::/64"}));
  ASSERT_EQ(plan.gateways.size(), 2u);
  EXPECT_EQ(plan.gateways[0].to_string(), "10.32.0.1/32");
  EXPECT_EQ(plan.gateways[1].to_string(), "fd32::1/128");
  auto guards = std::count_if(plan.routes.begin(), plan.routes.end(),
                              [](const auto& r) { return r.route.type == RTN_UNREACHABLE && r.route.metric == 4000; });
  EXPECT_EQ(guards, 2);
}

TEST(RouterPlan, LeadsOutByTheUplinkInBothFamilies) {
  auto plan = plan_of(network({"10.32.0.0/16", "fd32::/64"}), 2);
  std::set<std::string> gateways;
  for (const auto& r : plan.routes)
    if (r.link == "ul") gateways.insert(r.route.gateway->to_string());
  EXPECT_EQ(gateways, (std::set<std::string>{"169.254.64.4", "fd57:64:2::1"}));
  EXPECT_TRUE(plan.policy.empty());
}

TEST(RouterPlan, OfAnInternalNetworkHasNoWayOutInTheMainTable) {
  auto plan = plan_of(network({"10.32.0.0/16", "fd32::/64"}, true));
  for (const auto& r : plan.routes) {
    if (r.route.destination.length == 0) {
      EXPECT_EQ(r.route.table, kReplyTable);
    }
  }
  ASSERT_EQ(plan.policy.size(), 2u);
  EXPECT_EQ(plan.policy[0].mark, kReplyMark);
}

TEST(RouterPlan, SwitchesOffEverythingAContainerCouldTurnItsNeighboursWith) {
  auto plan = plan_of(network({"10.32.0.0/16", "fd32::/64"}));
  for (const char* key : {"net/ipv6/conf/default/accept_ra", "net/ipv6/conf/all/accept_ra",
                          "net/ipv6/conf/default/accept_redirects", "net/ipv4/conf/default/accept_redirects",
                          "net/ipv4/conf/all/accept_redirects", "net/ipv4/conf/default/send_redirects",
                          "net/ipv4/conf/default/accept_source_route", "net/ipv4/conf/default/route_localnet"})
    EXPECT_EQ(value_of(plan.sysctls, key), "0") << key;
  EXPECT_EQ(value_of(plan.sysctls, "net/ipv4/conf/default/rp_filter"), "1");
  EXPECT_EQ(value_of(plan.inside.sysctls, "net/ipv4/conf/ul/rp_filter"), "0");
  EXPECT_EQ(value_of(plan.outside.sysctls, "net/ipv4/conf/ul1001/route_localnet"), "1");
  EXPECT_EQ(value_of(plan.sysctls, "net/ipv4/ip_forward_use_pmtu"), "1");
}

TEST(RouterPlan, OfAnIpv4NetworkHasNoIpv6AtAll) {
  auto plan = plan_of(network({"10.32.0.0/16"}));
  EXPECT_EQ(value_of(plan.sysctls, "net/ipv6/conf/default/disable_ipv6"), "1");
  EXPECT_EQ(value_of(plan.outside.sysctls, "net/ipv6/conf/ul1001/disable_ipv6"), "1");
  EXPECT_EQ(plan.inside.addresses.size(), 1u);
  EXPECT_TRUE(plan.inside.peer6.link.empty());
  for (const auto& r : plan.routes) EXPECT_EQ(r.route.destination.family(), AF_INET);
}

TEST(RouterPlan, GivesEveryUplinkMacsAndAddressesOfItsOwn) {
  std::set<std::string> seen;
  for (uint32_t index : {0u, 1u, 255u, 256u, 8191u}) {
    auto plan = plan_of(network({"10.32.0.0/16", "fd32::/64"}), index);
    for (const auto& end : {plan.inside, plan.outside}) {
      EXPECT_TRUE(seen.insert(end.mac.to_string()).second) << index;
      for (const auto& a : end.addresses) EXPECT_TRUE(seen.insert(a.to_string()).second) << index;
    }
    EXPECT_EQ(plan.inside.peer4.mac, plan.outside.mac);
    EXPECT_EQ(plan.outside.peer4.mac, plan.inside.mac);
    EXPECT_TRUE(Prefix::parse("169.254.64.0/18")->contains(plan.outside.addresses[0].address)) << index;
  }
}

TEST(RouterPlan, OfAnEndpointIsAHostRouteAndAPermanentNeighbourPerAddress) {
  Endpoint e;
  e.host_ifname = "c1";
  e.mac = *Mac::parse("02:00:00:00:00:05");
  e.addresses = {*Address::parse("10.32.0.5"), *Address::parse("fd32::5")};
  auto routes = endpoint_routes(e);
  ASSERT_EQ(routes.size(), 2u);
  EXPECT_EQ(routes[0].route.destination.to_string(), "10.32.0.5/32");
  EXPECT_EQ(routes[1].route.destination.to_string(), "fd32::5/128");
  auto neighbours = endpoint_neighbours(e);
  ASSERT_EQ(neighbours.size(), 2u);
  EXPECT_EQ(neighbours[1].mac, e.mac);
  EXPECT_EQ(neighbours[1].link, "c1");
}

TEST(ContainerMtu, IsTheDocumentsOrTheUnderlaysLessTheOverlay) {
  auto n = network({"10.32.0.0/16", "fd32::/64"});
  EXPECT_EQ(container_mtu(n, 1500, AF_INET), 1450u);
  EXPECT_EQ(container_mtu(n, 9000, AF_INET), 8950u);
  EXPECT_EQ(container_mtu(n, 9000, AF_INET6), 8930u) << "an IPv6 header is 20 bytes longer";
  EXPECT_EQ(container_mtu(n, 1300, AF_INET), 1280u) << "IPv6 needs 1280";
  EXPECT_EQ(container_mtu(network({"10.32.0.0/16"}), 1300, AF_INET), 1250u);
  EXPECT_EQ(container_mtu(n, 0, AF_INET), 1280u);
  n.encryption = "wireguard";
  EXPECT_EQ(container_mtu(n, 1500, AF_INET), 1390u);
  EXPECT_EQ(container_mtu(n, 1500, AF_INET6), 1370u);
  n.mtu = 1400;
  EXPECT_EQ(container_mtu(n, 9000, AF_INET), 1400u);
}

TEST(ContainerMtu, OfAnEncryptedNetworkLeavesRoomForEsp) {
  auto n = network({"10.32.0.0/16"});
  n.encryption = "ipsec";
  EXPECT_EQ(container_mtu(n, 1500, AF_INET), 1408u);
  EXPECT_EQ(container_mtu(n, 1500, AF_INET6), 1388u);
  for (uint32_t underlay : {1499u, 1498u, 1497u}) EXPECT_EQ(container_mtu(n, underlay, AF_INET), 1404u) << underlay;
  EXPECT_EQ(container_mtu(n, 60, AF_INET), 576u);
}

}  // namespace
}  // namespace fairlead::overlay
