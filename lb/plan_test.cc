#include "lb/plan.h"

#include <gtest/gtest.h>

#include "lb/test_documents.h"

namespace fairlead::lb {
namespace {

const Frontend* frontend(const Plan& plan, const std::string& address, uint16_t port, uint8_t protocol = kTcp,
                         const std::string& network = "appnet") {
  const auto& all = plan.routers.at(network).frontends;
  auto found = all.find({ip(address), protocol, port});
  return found == all.end() ? nullptr : &found->second;
}

// The texts of all problems of an object, one a line.
std::string problems(const Plan& plan, const std::string& object) {
  std::string text;
  for (const auto& [who, what] : plan.problems)
    if (who == object) text += what + "\n";
  return text;
}

TEST(Plan, LB01HasEveryTaskBehindEveryVipAndNobodyElse) {
  World world;
  world.put(World::web());
  world.put(World::task(2));
  world.put(World::task(3));
  world.put(World::task(4, "other"));
  Plan plan = world.plan();
  const Frontend* v4 = frontend(plan, "10.32.255.1", 80);
  ASSERT_TRUE(v4);
  EXPECT_EQ(v4->backends,
            (std::vector<Backend>{{ip("10.32.0.2"), 8080, 1, "t2-eth0"}, {ip("10.32.0.3"), 8080, 1, "t3-eth0"}}));
  const Frontend* v6 = frontend(plan, "fd32::ffff:1", 80);
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->backends.size(), 2u);
  EXPECT_EQ(plan.routers.at("appnet").vips.size(), 2u);
  EXPECT_EQ(plan.routers.at("appnet").hairpin.size(), 4u);
  EXPECT_TRUE(plan.problems.empty());
}

TEST(Plan, TasksOfOtherNodesAreBackendsThatTheirOwnNodeChecks) {
  World world;
  Service web = World::web();
  web.health = HealthCheck{};
  world.put(web);
  world.put(World::task(2));
  Endpoint twin = World::task(2), mapped = World::task(8, "");
  twin.addresses = {ip("10.32.1.2"), ip("fd32::1:2")};
  world.put_remote(twin, "n2");  // a container of the same id
  mapped.port_mappings = {{"tcp", 8000, 80, ""}};
  world.put_remote(mapped, "n2");
  Plan plan = world.plan();
  EXPECT_EQ(frontend(plan, "10.32.255.1", 80)->backends,
            (std::vector<Backend>{{ip("10.32.0.2"), 8080, 1, "t2-eth0"}, {ip("10.32.1.2"), 8080, 1, "n2/t2-eth0"}}));
  EXPECT_EQ(plan.checks.size(), 1u);
  EXPECT_TRUE(plan.checks.count({"appnet", "web", "t2-eth0"}));
  EXPECT_TRUE(plan.host.ports.empty()) << "a port of another node's container is published there";
}

TEST(Plan, StartingTasksAreOutAndStoppingOnesKeepTheirConnections) {
  World world;
  world.put(World::web());
  Endpoint starting = World::task(2), stopping = World::task(3);
  starting.state = "starting";
  stopping.state = "stopping";
  world.put(starting);
  world.put(stopping);
  world.put(World::task(4));
  auto backends = frontend(world.plan(), "10.32.255.1", 80)->backends;
  ASSERT_EQ(backends.size(), 2u);
  EXPECT_EQ(backends[0].weight, 0u);
  EXPECT_EQ(backends[1].weight, 1u);
}

TEST(Plan, WeightsComeFromTheServiceByNameOrAddressThenFromTheEndpoint) {
  World world;
  Service web = World::web();
  web.weights = {{"t2", 3}, {"10.32.0.3", 0}};
  world.put(web);
  world.put(World::task(2));
  world.put(World::task(3));
  Endpoint labelled = World::task(4);
  labelled.labels = {{"fairlead.weight", "7"}};
  world.put(labelled);
  auto backends = frontend(world.plan(), "10.32.255.1", 80)->backends;
  ASSERT_EQ(backends.size(), 3u);
  EXPECT_EQ(backends[0].weight, 3u);
  EXPECT_EQ(backends[1].weight, 0u);
  EXPECT_EQ(backends[2].weight, 7u);
}

TEST(Plan, LB35AVipFromElsewhereIsRefusedAndTheOtherVipWorks) {
  World world;
  Service web = World::web();
  for (const char* bad : {"1.1.1.1", "10.32.0.1", "10.32.0.2", "192.0.2.1", "fd57::1"}) {
    web.vips = {ip(bad), ip("10.32.255.1")};
    world.put(web);
    Plan plan = world.plan();
    EXPECT_EQ(plan.routers.at("appnet").vips, std::set<Address>{ip("10.32.255.1")}) << bad;
    EXPECT_NE(problems(plan, "service appnet/web").find(std::string("VIP ") + bad + " is not in the VIP pool"),
              std::string::npos);
    EXPECT_TRUE(frontend(plan, "10.32.255.1", 80));
  }
}

TEST(Plan, LB35FamiliesAreNotMixed) {
  World world;
  world.put(World::web());
  Endpoint only4 = World::task(2);
  only4.addresses = {ip("10.32.0.2")};
  world.put(only4);
  Plan plan = world.plan();
  EXPECT_EQ(frontend(plan, "10.32.255.1", 80)->backends.size(), 1u);
  EXPECT_TRUE(frontend(plan, "fd32::ffff:1", 80)->backends.empty());
  EXPECT_NE(problems(plan, "service appnet/web").find("t2-eth0 has no usable IPv6 address"), std::string::npos);
}

TEST(Plan, BackendsOutsideTheNetworkAreRefused) {
  World world;
  world.put(World::web());
  unsigned n = 2;
  for (const char* bad : {"127.0.0.1", "169.254.169.254", "10.33.0.2", "10.32.0.1", "10.32.255.1"}) {
    Endpoint hostile = World::task(n++);
    hostile.addresses = {ip(bad)};
    world.put(hostile);
  }
  Plan plan = world.plan();
  EXPECT_TRUE(frontend(plan, "10.32.255.1", 80)->backends.empty());
  EXPECT_NE(problems(plan, "endpoint appnet/t2-eth0").find("127.0.0.1 is outside"), std::string::npos);
  EXPECT_NE(problems(plan, "endpoint appnet/t5-eth0").find("is the gateway"), std::string::npos);
  EXPECT_NE(problems(plan, "endpoint appnet/t6-eth0").find("is a VIP"), std::string::npos);
}

TEST(Plan, OneVipForTwoServicesStaysWithWhoHadIt) {
  World world;
  Service web = World::web(), api = World::web();
  api.name = "api";
  world.put(web);
  Incumbents claimed;
  world.plan({}, &claimed);
  world.put(api);
  Plan plan = world.plan(claimed);
  EXPECT_EQ(frontend(plan, "10.32.255.1", 80)->service, "web");
  EXPECT_NE(problems(plan, "service appnet/api").find("belongs to service appnet/web"), std::string::npos);
  // Without memory the first by name, so that all nodes agree.
  EXPECT_EQ(frontend(world.plan(), "10.32.255.1", 80)->service, "api");
}

TEST(Plan, LB05AnUnknownSchedulerIsRefused) {
  World world;
  Service web = World::web();
  web.scheduler = "fastest";
  world.put(web);
  Plan plan = world.plan();
  EXPECT_FALSE(frontend(plan, "10.32.255.1", 80));
  EXPECT_NE(problems(plan, "service appnet/web").find("expected one of rr wrr"), std::string::npos);
}

TEST(Plan, LB39APublishedPortLeadsToTheRouterInBothFamilies) {
  World world;
  Service web = World::web();
  web.ports[0].published = 8000;
  world.put(web);
  world.put(World::task(2));
  Plan plan = world.plan();
  Address router4 = world.routers["appnet"]->router4, router6 = world.routers["appnet"]->router6;
  EXPECT_EQ(plan.host.ports.at({AF_INET, {}, kTcp, 8000}), (HostPort{router4, 8000}));
  EXPECT_EQ(plan.host.ports.at({AF_INET6, {}, kTcp, 8000}), (HostPort{router6, 8000}));
  EXPECT_EQ(plan.host.loopback6.count("ul4097"), 1u);
  EXPECT_EQ(frontend(plan, router4.to_string(), 8000)->backends[0].port, 8080);
}

TEST(Plan, LB39WithoutIPv6SubnetNothingIsPublishedThere) {
  World world;
  world.add_network("v4net", 4098, 2, {"10.40.0.0/24"});
  Service web = World::web();
  web.network = "v4net";
  web.vips = {};
  web.ports[0].published = 8000;
  world.put(web);
  Plan plan = world.plan();
  EXPECT_EQ(plan.host.ports.size(), 1u);
  EXPECT_TRUE(plan.host.loopback6.empty());
}

TEST(Plan, APublishedPortOfTwoServicesIsReportedWithBothNames) {
  World world;
  world.add_network("other", 4098, 2, {"10.32.0.0/16"});
  Service web = World::web(), api = World::web();
  web.ports[0].published = api.ports[0].published = 8000;
  api.network = "other";
  api.name = "api";
  api.vips = {};
  world.put(web);
  world.put(api);
  Plan plan = world.plan();
  EXPECT_EQ(plan.host.ports.at({AF_INET, {}, kTcp, 8000}).router, world.routers["appnet"]->router4);
  std::string text = problems(plan, "service other/api");
  EXPECT_NE(text.find("tcp port 8000 of service other/api is already published by service appnet/web"),
            std::string::npos)
      << text;
  // and nothing of the loser stays behind in its router
  EXPECT_FALSE(frontend(plan, world.routers["other"]->router4.to_string(), 8000, kTcp, "other"));
}

PortMapping mapping(const std::string& host_ip, uint32_t host_port) { return {"tcp", host_port, 80, host_ip}; }

TEST(Plan, PortMappingsOfOneAddressDoNotMeetInTheRouter) {
  World world;
  Endpoint a = World::task(2, ""), b = World::task(3, ""), c = World::task(4, "");
  a.port_mappings = {mapping("192.0.2.1", 8000)};
  b.port_mappings = {mapping("192.0.2.2", 8000)};
  c.port_mappings = {mapping("", 8000)};
  world.put(a);
  world.put(b);
  Plan plan = world.plan();
  HostPort to_a = plan.host.ports.at({AF_INET, ip("192.0.2.1"), kTcp, 8000});
  HostPort to_b = plan.host.ports.at({AF_INET, ip("192.0.2.2"), kTcp, 8000});
  EXPECT_NE(to_a.router_port, to_b.router_port);
  EXPECT_EQ(frontend(plan, to_a.router.to_string(), to_a.router_port)->backends[0].address, ip("10.32.0.2"));
  EXPECT_EQ(frontend(plan, to_b.router.to_string(), to_b.router_port)->backends[0].address, ip("10.32.0.3"));
  EXPECT_FALSE(plan.host.ports.count({AF_INET6, {}, kTcp, 8000}));
  world.put(c);  // every address: collides with both
  EXPECT_NE(problems(world.plan({}), "endpoint appnet/t4-eth0").find("already published"), std::string::npos);
}

TEST(Plan, APortMappingOfEveryAddressServesBothFamilies) {
  World world;
  Endpoint a = World::task(2, "");
  a.port_mappings = {mapping("", 8000)};
  world.put(a);
  Plan plan = world.plan();
  EXPECT_EQ(plan.host.ports.size(), 2u);
  EXPECT_TRUE(plan.routers.at("appnet").hairpin.count(ip("fd32::2")));
}

TEST(Plan, APortOfOneContainerOnTwoNetworksIsNoConflict) {
  World world;
  world.add_network("other", 4098, 2, {"10.33.0.0/16"});
  Endpoint a = World::task(2, ""), b = a, stranger = World::task(3, "");
  b.network = "other";
  b.ifname = "eth1";
  b.addresses = {ip("10.33.0.2")};
  a.port_mappings = b.port_mappings = stranger.port_mappings = {mapping("", 8000)};
  world.put(a);
  world.put(b);
  Plan plan = world.plan({});
  EXPECT_TRUE(plan.problems.empty());
  EXPECT_EQ(plan.host.ports.at({AF_INET, {}, kTcp, 8000}).router, world.routers["appnet"]->router4);
  world.put(stranger);
  EXPECT_NE(problems(world.plan({}), "endpoint appnet/t3-eth0").find("already published"), std::string::npos);
}

TEST(Plan, StandingDecidesPerServiceAndProtocol) {
  World world;
  Service web = World::web();
  web.ports.push_back({"udp", 53, 53, 0, "ingress"});
  world.put(web);
  world.put(World::task(2));
  auto unhealthy = [](const Service&, const Endpoint&, uint8_t protocol) {
    return protocol == kUdp ? Standing::kOut : Standing::kDraining;
  };
  Plan plan = make_plan({world.networks, world.services, world.endpoints, world.routers}, unhealthy);
  EXPECT_EQ(frontend(plan, "10.32.255.1", 80)->backends.at(0).weight, 0u);
  EXPECT_TRUE(frontend(plan, "10.32.255.1", 53, kUdp)->backends.empty());
}

TEST(Plan, LB28ChecksGoToTheFirstTcpTargetFromTheGateway) {
  World world;
  Service web = World::web();
  web.ports.insert(web.ports.begin(), {"udp", 53, 53, 0, "ingress"});
  web.health.emplace();
  world.put(web);
  world.put(World::task(2));
  Endpoint only6 = World::task(3);
  only6.addresses = {ip("fd32::3")};
  world.put(only6);
  auto checks = world.plan().checks;
  ASSERT_EQ(checks.size(), 2u);
  const CheckPlan& v4 = checks.at({"appnet", "web", "t2-eth0"});
  EXPECT_EQ(v4.address, ip("10.32.0.2"));
  EXPECT_EQ(v4.source, ip("10.32.0.1"));
  EXPECT_EQ(v4.port, 8080);
  EXPECT_EQ(checks.at({"appnet", "web", "t3-eth0"}).source, *world.networks["appnet"]->gateway(AF_INET6));
}

TEST(Plan, LB28AServiceWithoutTcpPortNeedsAPortForItsChecks) {
  World world;
  Service web = World::web();
  web.ports = {{"udp", 53, 53, 0, "ingress"}};
  web.health.emplace();
  world.put(web);
  world.put(World::task(2));
  Plan plan = world.plan();
  EXPECT_TRUE(plan.checks.empty());
  EXPECT_NE(problems(plan, "service appnet/web").find("health.port"), std::string::npos);
}

TEST(Plan, ServicesOfNetworksThatAreNotHereAreNotPlanned) {
  World world;
  world.put(World::web());
  world.routers.clear();
  EXPECT_TRUE(world.plan().routers.empty());
  EXPECT_TRUE(world.plan().problems.empty());
  world.networks.clear();
  EXPECT_NE(problems(world.plan(), "service appnet/web").find("network appnet does not exist"), std::string::npos);
}

}  // namespace
}  // namespace fairlead::lb
