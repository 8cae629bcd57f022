#include "lb/flows.h"

#include <gtest/gtest.h>

#include "lb/test_documents.h"

namespace fairlead::lb {
namespace {

class Flows : public testing::Test {
 protected:
  Flows() {
    world_.put(World::web());
    world_.put(World::task(2));
    plan_ = world_.plan().routers.at("appnet");
  }
  // From 10.32.0.9 to `to`, answered by `from`.
  static kernel::Flow flow(const char* to, uint16_t port, const char* from, uint16_t from_port,
                           uint8_t protocol = kTcp) {
    kernel::Flow f;
    f.original = {ip("10.32.0.9"), ip(to), protocol, 40000, port};
    f.reply = {ip(from), ip("10.32.0.9"), protocol, from_port, 40000};
    f.tcp_state = 3;
    return f;
  }
  World world_;
  RouterPlan plan_;
};

TEST_F(Flows, OnABackendOfThePlanAreCountedAndKept) {
  auto f = flow("10.32.255.1", 80, "10.32.0.2", 8080);
  EXPECT_EQ(backend_of(plan_, f), (BackendId{{ip("10.32.255.1"), kTcp, 80}, ip("10.32.0.2"), 8080}));
  EXPECT_FALSE(is_stale(plan_, f));
}

TEST_F(Flows, OfARemovedBackendOrPortAreStale) {
  EXPECT_TRUE(is_stale(plan_, flow("10.32.255.1", 80, "10.32.0.3", 8080)));
  EXPECT_TRUE(is_stale(plan_, flow("10.32.255.1", 80, "10.32.0.2", 8081)));
}

TEST_F(Flows, OfARemovedFrontendAreStale) {
  EXPECT_TRUE(is_stale(plan_, flow("10.32.255.7", 80, "10.32.0.2", 8080)));
  EXPECT_TRUE(is_stale(plan_, flow("10.32.255.1", 80, "10.32.0.2", 8080, kUdp)));
  EXPECT_TRUE(is_stale(plan_, flow("169.254.64.3", 8000, "10.32.0.2", 8080)));
}

TEST_F(Flows, ThatWereThereBeforeTheFrontendAreStale) {
  EXPECT_TRUE(is_stale(plan_, flow("10.32.255.1", 80, "10.32.255.1", 80)));
}

TEST_F(Flows, LB17OfUdpThatPrecedeTheirFrontendAreFound) {
  Service web = World::web();
  web.ports[0].protocol = "udp";
  world_.put(web);
  plan_ = world_.plan().routers.at("appnet");
  EXPECT_TRUE(precedes_frontend(plan_, flow("10.32.255.1", 80, "10.32.255.1", 80, kUdp)));
  EXPECT_FALSE(precedes_frontend(plan_, flow("10.32.255.1", 80, "10.32.0.2", 8080, kUdp)));
  EXPECT_FALSE(precedes_frontend(plan_, flow("10.32.255.1", 81, "10.32.255.1", 81, kUdp)));
  EXPECT_FALSE(precedes_frontend(plan_, flow("10.32.255.1", 80, "10.32.255.1", 80, kTcp)));
}

TEST_F(Flows, ToOtherAddressesAreNobodysBusiness) {
  EXPECT_FALSE(is_stale(plan_, flow("10.32.0.3", 80, "10.32.0.3", 80)));
  EXPECT_FALSE(is_stale(plan_, flow("192.0.2.1", 80, "192.0.2.1", 80)));
  EXPECT_FALSE(is_stale(plan_, flow("10.32.255.1", 80, "10.32.255.1", 80, 1)));  // a ping to the VIP
}

TEST_F(Flows, AreLookedAtOnlyWhenSomethingWent) {
  RouterPlan more = plan_, weight = plan_, less = plan_;
  FrontendKey key{ip("10.32.255.1"), kTcp, 80};
  more.frontends[key].backends.push_back({ip("10.32.0.3"), 8080, 1, "t3-eth0"});
  weight.frontends[key].backends[0].weight = 0;
  less.frontends.erase(key);
  EXPECT_FALSE(flows_may_be_stale(plan_, more));
  EXPECT_FALSE(flows_may_be_stale(plan_, weight));
  EXPECT_TRUE(flows_may_be_stale(more, plan_));
  EXPECT_TRUE(flows_may_be_stale(plan_, less));
  EXPECT_FALSE(flows_may_be_stale(less, plan_)) << "a TCP frontend came";
  RouterPlan udp = plan_;
  udp.frontends[{ip("10.32.255.1"), kUdp, 80}];
  EXPECT_TRUE(flows_may_be_stale(plan_, udp));
}

TEST(HostFlows, AreLookedAtOnlyWhenAPortWentOrMovedOrAUdpPortCame) {
  HostPlan none, one, moved, udp;
  HostPortKey key{AF_INET, {}, kTcp, 8000};
  one.ports[key] = {ip("169.254.64.1"), 8000};
  moved.ports[key] = {ip("169.254.64.3"), 8000};
  udp = one;
  udp.ports[{AF_INET, {}, kUdp, 8000}] = {ip("169.254.64.1"), 8000};
  EXPECT_FALSE(host_flows_may_be_stale(one, one));
  EXPECT_FALSE(host_flows_may_be_stale(none, one));
  EXPECT_TRUE(host_flows_may_be_stale(one, none));
  EXPECT_TRUE(host_flows_may_be_stale(one, moved));
  EXPECT_TRUE(host_flows_may_be_stale(one, udp));
}

}  // namespace
}  // namespace fairlead::lb
