#include "agent/container_state.h"

#include <gtest/gtest.h>
#include <linux/rtnetlink.h>

#include "overlay/names.h"

namespace fairlead::agent {
namespace {

struct ContainerStateTest : testing::Test {
  Network network;
  Endpoint endpoint;
  overlay::Observed there;

  ContainerStateTest() {
    network.name = "appnet";
    network.subnets = {*Prefix::parse("10.32.0.0/16"), *Prefix::parse("fd32::/64")};
    endpoint.network = "appnet";
    endpoint.container = "abc";
    endpoint.ifname = "eth0";
    endpoint.mac = *Mac::parse("02:00:00:00:00:05");
    endpoint.addresses = {*Address::parse("10.32.0.5"), *Address::parse("fd32::5")};
    there.links.push_back(link(2, "eth0"));
    there.links[0].mac = endpoint.mac;
    for (const auto& a : endpoint.addresses) there.addresses.push_back({2, {a, a.bits()}, false, true});
    for (const char* gateway : {"10.32.0.1", "fd32::1"}) {
      there.neighbours.push_back({2, *Address::parse(gateway), Mac{overlay::kGatewayMac}, true});
      there.routes.push_back(route(gateway[2] == '.' ? "0.0.0.0/0" : "::/0", gateway, 2));
    }
  }
  static kernel::Link link(uint32_t index, const std::string& name) {
    kernel::Link l;
    l.index = index;
    l.name = name;
    l.up = true;
    return l;
  }
  static kernel::Route route(const char* to, const char* via, uint32_t index, uint32_t metric = 0) {
    kernel::Route r;
    r.destination = *Prefix::parse(to);
    if (via) r.gateway = *Address::parse(via);
    r.index = index;
    r.metric = metric;
    return r;
  }
  std::vector<std::string> missing() {
    auto attachment = overlay::attachment_of(network, endpoint, 1450);
    std::vector<std::string> out;
    for (const auto& repair : overlay::difference(wanted_in_container(attachment, there), there))
      out.push_back(repair.request.what());
    return out;
  }
};
using Lines = std::vector<std::string>;

TEST_F(ContainerStateTest, NothingIsMissingWhenAddWasDone) { EXPECT_EQ(missing(), Lines{}); }

TEST_F(ContainerStateTest, WhatAddPutInIsPutBack) {
  there.addresses.clear();
  there.neighbours.clear();
  there.routes.clear();
  EXPECT_EQ(missing().size(), 6u);
}

TEST_F(ContainerStateTest, WhatTheContainerAddedIsLeft) {
  there.links.push_back(link(3, "tun0"));
  there.routes.push_back(route("10.0.0.0/8", nullptr, 3));
  there.addresses.push_back({2, *Prefix::parse("192.0.2.1/24"), false, true});
  EXPECT_EQ(missing(), Lines{});
}

TEST_F(ContainerStateTest, ADefaultRouteWithAnotherMetricOrMtuIsADefaultRoute) {
  there.routes.clear();
  there.routes.push_back(route("0.0.0.0/0", "10.32.0.1", 2, 100));
  there.routes.push_back(route("::/0", "fd32::1", 2, 512));
  there.routes[0].mtu = 1300;
  EXPECT_EQ(missing(), Lines{});
}

TEST_F(ContainerStateTest, AnotherNetworksDefaultRouteIsNotReplaced) {
  there.links.push_back(link(3, "eth1"));
  there.routes.clear();
  there.routes.push_back(route("0.0.0.0/0", "10.99.0.1", 3));
  there.routes.push_back(route("::/0", "fd99::1", 3));
  EXPECT_EQ(missing(), (Lines{"set route 10.32.0.0/16", "set route fd32::/64"}));
  there.routes.push_back(route("10.32.0.0/16", "10.32.0.1", 2));
  there.routes.push_back(route("fd32::/64", "fd32::1", 2));
  EXPECT_EQ(missing(), Lines{});
  there.routes.erase(there.routes.begin(), there.routes.begin() + 2);
  EXPECT_EQ(missing(), Lines{}) << "and its going away does not make ours the default";
}

TEST_F(ContainerStateTest, ALaterNetworksDefaultRouteIsNoReasonToGoWithout) {
  there.links.push_back(link(3, "eth1"));
  there.routes.clear();
  there.routes.push_back(route("0.0.0.0/0", "10.99.0.1", 3, 1025));
  there.routes.push_back(route("::/0", "fd99::1", 3, 1025));
  EXPECT_EQ(missing(), (Lines{"set route 0.0.0.0/0", "set route ::/0"}));
}

TEST_F(ContainerStateTest, AFurtherInterfaceHasMoreToPutBack) {
  endpoint.ifname = "eth1";
  there.links.push_back(link(3, "eth1"));
  there.links.back().mac = endpoint.mac;
  there.addresses.clear();
  EXPECT_EQ(missing().size(), 2 + 2 + 2 * 3 + 2u) << "addresses, neighbours, routes (subnet, default, table), rules";
  auto routing = overlay::source_routing(network, endpoint.addresses, "eth1");
  there.policy = routing.rules;
  for (const auto& source : routing.routes) {
    there.routes.push_back(route(source.destination.to_string().c_str(), source.gateway.to_string().c_str(), 3, 1025));
    there.routes.back().table = source.table;
  }
  EXPECT_EQ(missing().size(), 2 + 2 + 2 * 2u) << "the default route of the table is not the main one";
}

TEST_F(ContainerStateTest, AnInternalNetworkNeverGetsADefaultRoute) {
  network.internal = true;
  there.routes.clear();
  EXPECT_EQ(missing(), (Lines{"set route 10.32.0.0/16", "set route fd32::/64"}));
}

TEST_F(ContainerStateTest, AMissingLinkIsNotThisFunctionsBusiness) {
  there = {};
  EXPECT_EQ(missing(), Lines{});
}

}  // namespace
}  // namespace fairlead::agent
