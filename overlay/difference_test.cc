#include "overlay/difference.h"

#include <gtest/gtest.h>
#include <linux/rtnetlink.h>

#include "overlay/names.h"

namespace fairlead::overlay {
namespace {

Network dual_stack() {
  Network n;
  n.name = "appnet";
  n.vni = 0x1001;
  n.subnets = {*Prefix::parse("10.32.0.0/16"), *Prefix::parse("fd32::/64")};
  return n;
}

Endpoint endpoint() {
  Endpoint e;
  e.host_ifname = "c1";
  e.mac = *Mac::parse("02:00:00:00:00:05");
  e.addresses = {*Address::parse("10.32.0.5"), *Address::parse("fd32::5")};
  return e;
}

// What the kernel shows when everything wanted is there (IPv6 routes without a device with lo, metric 0 as 1024).
Observed perfect(const Wanted& wanted) {
  Observed o;
  uint32_t next = 1;
  auto link = [&](const std::string& name, Mac mac, uint32_t mtu) {
    kernel::Link l;
    l.index = next++;
    l.name = name;
    l.mac = mac;
    l.mtu = mtu;
    l.up = true;
    o.links.push_back(l);
  };
  for (const auto& l : wanted.links) link(l.name, l.mac, l.mtu);
  if (!o.link("c1")) link("c1", Mac{kGatewayMac}, 1450);
  for (const auto& a : wanted.addresses) o.addresses.push_back({o.link(a.link)->index, a.prefix, false, true});
  for (const auto& n : wanted.neighbours) o.neighbours.push_back({o.link(n.link)->index, n.address, n.mac, true});
  for (const auto& r : wanted.routes) {
    auto route = r.route;
    const bool v6 = route.destination.address.is_v6();
    route.index = r.link.empty() ? (v6 ? 1 : 0) : o.link(r.link)->index;
    if (v6 && route.metric == 0) route.metric = 1024;
    o.routes.push_back(route);
  }
  o.policy = wanted.policy;
  return o;
}

struct DifferenceTest : testing::Test {
  Network network = dual_stack();
  Wanted wanted = wanted_in_router(plan_router(network, make_router(network, 0, 1450)));
  Observed there;
  void SetUp() override {
    add_endpoint(wanted, endpoint());
    there = perfect(wanted);
  }
  std::vector<std::string> kinds() {
    std::vector<std::string> out;
    for (const auto& repair : difference(wanted, there)) out.push_back(repair.kind);
    return out;
  }
};
using Kinds = std::vector<std::string>;

TEST_F(DifferenceTest, IsNothingWhenEverythingIsThere) { EXPECT_EQ(kinds(), Kinds{}); }

TEST_F(DifferenceTest, LeavesWhatIsNotWantedAlone) {
  kernel::Route foreign;
  foreign.destination = *Prefix::parse("172.16.0.0/12");
  there.routes.push_back(foreign);
  there.addresses.push_back({1, *Prefix::parse("192.0.2.1/24"), false, true});
  there.neighbours.push_back({2, *Address::parse("192.0.2.2"), Mac{}, false});
  EXPECT_EQ(kinds(), Kinds{});
}

TEST_F(DifferenceTest, FindsEachMissingThing) {
  auto routes = there.routes;
  for (size_t i = 0; i < routes.size(); i++) {
    there.routes = routes;
    there.routes.erase(there.routes.begin() + static_cast<long>(i));
    EXPECT_EQ(kinds(), Kinds{"route"}) << routes[i].destination.to_string();
  }
  there.routes = routes;
  auto addresses = there.addresses;
  for (size_t i = 0; i < addresses.size(); i++) {
    there.addresses = addresses;
    there.addresses.erase(there.addresses.begin() + static_cast<long>(i));
    EXPECT_EQ(kinds(), Kinds{"address"}) << addresses[i].prefix.to_string();
  }
  there.addresses = addresses;
  there.neighbours.pop_back();
  EXPECT_EQ(kinds(), Kinds{"neighbour"});
}

TEST_F(DifferenceTest, FindsWhatIsThereButWrong) {
  for (auto& r : there.routes)
    if (r.destination.length == 32) r.index = there.link("ul")->index;
  EXPECT_EQ(kinds(), Kinds{"route"}) << "a route bent to another link";
  there = perfect(wanted);
  there.neighbours.back().mac = *Mac::parse("02:00:00:00:00:99");
  EXPECT_EQ(kinds(), Kinds{"neighbour"}) << "another MAC";
  there = perfect(wanted);
  there.neighbours.back().permanent = false;
  EXPECT_EQ(kinds(), Kinds{"neighbour"}) << "learnt instead of permanent";
  there = perfect(wanted);
  for (auto& r : there.routes)
    if (r.type == RTN_UNREACHABLE) r.metric = 1;
  EXPECT_EQ(kinds(), (Kinds{"route", "route"})) << "the guard with another metric would go before the endpoints";
  there = perfect(wanted);
  there.links[1].up = false;
  EXPECT_EQ(kinds(), Kinds{"link"});
  there = perfect(wanted);
  there.links[1].mtu = 9000;
  EXPECT_EQ(kinds(), Kinds{"link"});
  there.links[1].mac = *Mac::parse("02:00:00:00:00:99");
  EXPECT_EQ(kinds(), Kinds{"link"}) << "one request for both";
}

TEST_F(DifferenceTest, LeavesOutWhatBelongsToALinkThatIsNotThere) {
  std::erase_if(there.links, [](const auto& l) { return l.name == "c1"; });
  there.routes.clear();
  there.neighbours.clear();
  for (const auto& repair : difference(wanted, there))
    EXPECT_EQ(repair.request.what().find("10.32.0.5"), std::string::npos) << repair.request.what();
}

TEST_F(DifferenceTest, FindsAMissingPolicyRule) {
  network.internal = true;
  wanted = wanted_in_router(plan_router(network, make_router(network, 0, 1450)));
  there = perfect(wanted);
  EXPECT_EQ(kinds(), Kinds{});
  there.policy.clear();
  EXPECT_EQ(kinds(), (Kinds{"route", "route"}));
}

TEST_F(DifferenceTest, OfTenThousandEndpointsComparesThemOnce) {
  for (uint32_t i = 0; i < 10000; i++) {
    Endpoint e = endpoint();
    e.addresses = {Address::parse("10.32.1.0")->plus(i)};
    add_endpoint(wanted, e);
  }
  there = perfect(wanted);
  EXPECT_EQ(kinds(), Kinds{});
  there.routes.clear();
  EXPECT_GT(kinds().size(), 10000u);
}

}  // namespace
}  // namespace fairlead::overlay
