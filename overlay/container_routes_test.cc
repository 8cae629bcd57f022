#include "overlay/container_routes.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace fairlead::overlay {
namespace {

using Lines = std::vector<std::string>;

Network network(bool internal = false) {
  Network n;
  n.name = "appnet";
  n.subnets = {*Prefix::parse("10.32.0.0/16"), *Prefix::parse("fd32::/64")};
  n.internal = internal;
  return n;
}
const std::vector<Address> kBoth = {*Address::parse("10.32.0.5"), *Address::parse("fd32::5")};

Lines lines(const std::vector<ContainerRoute>& routes) {
  Lines out;
  for (const auto& r : routes)
    out.push_back(r.destination.to_string() + " via " + r.gateway.to_string() +
                  (r.priority ? " metric " + std::to_string(r.priority) : "") +
                  (r.table ? " table " + std::to_string(r.table) : ""));
  return out;
}

TEST(ContainerRoutes, AnInterfacesNumberIsAtTheEndOfItsName) {
  EXPECT_EQ(interface_number("eth0"), 0u);
  EXPECT_EQ(interface_number("eth12"), 12u);
  EXPECT_EQ(interface_number("uplink"), 0u);
  EXPECT_EQ(interface_number("a1b"), 0u);
  EXPECT_EQ(interface_number("7"), 7u);
  EXPECT_EQ(interface_number(""), 0u);
  EXPECT_EQ(interface_number("v99999999999999"), 999999u) << "no overflow, whatever somebody calls it";
}

TEST(ContainerRoutes, TheFirstInterfaceHasThePlainDefaultRoute) {
  EXPECT_EQ(lines(container_routes(network(), kBoth, "eth0")), (Lines{"0.0.0.0/0 via 10.32.0.1", "::/0 via fd32::1"}));
  EXPECT_TRUE(source_routing(network(), kBoth, "eth0").rules.empty());
}

TEST(ContainerRoutes, AFurtherOneHasItsSubnetsAndALaterDefaultRoute) {
  EXPECT_EQ(lines(container_routes(network(), kBoth, "eth2")),
            (Lines{"10.32.0.0/16 via 10.32.0.1", "0.0.0.0/0 via 10.32.0.1 metric 1026", "fd32::/64 via fd32::1",
                   "::/0 via fd32::1 metric 1026"}));
}

TEST(ContainerRoutes, WhatIsSentFromAFurtherInterfacesAddressLeavesByIt) {
  auto routing = source_routing(network(), kBoth, "eth2");
  EXPECT_EQ(lines(routing.routes),
            (Lines{"0.0.0.0/0 via 10.32.0.1 metric 1026 table 1026", "::/0 via fd32::1 metric 1026 table 1026"}));
  ASSERT_EQ(routing.rules.size(), 2u);
  EXPECT_EQ(routing.rules[0].from, kBoth[0]);
  EXPECT_EQ(routing.rules[0].family, AF_INET);
  EXPECT_EQ(routing.rules[1].from, kBoth[1]);
  EXPECT_EQ(routing.rules[1].table, 1026u);
}

TEST(ContainerRoutes, AnInternalNetworkHasItsSubnetsAndNoWayOut) {
  for (const char* ifname : {"eth0", "eth1"}) {
    EXPECT_EQ(lines(container_routes(network(true), kBoth, ifname)),
              (Lines{"10.32.0.0/16 via 10.32.0.1", "fd32::/64 via fd32::1"}));
    EXPECT_TRUE(source_routing(network(true), kBoth, ifname).routes.empty());
  }
}

TEST(ContainerRoutes, AFamilyWithoutAnAddressHasNoRoutes) {
  EXPECT_EQ(lines(container_routes(network(), {kBoth[1]}, "eth0")), Lines{"::/0 via fd32::1"});
  EXPECT_EQ(container_routes(network(), {}, "eth1").size(), 0u);
}

}  // namespace
}  // namespace fairlead::overlay
