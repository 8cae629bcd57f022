#include "lb/ipvs_changes.h"

#include <gtest/gtest.h>

#include "lb/test_documents.h"

namespace fairlead::lb {
namespace {

class IpvsChanges : public testing::Test {
 protected:
  IpvsChanges() {
    world_.put(World::web());
    world_.put(World::task(2));
    world_.put(World::task(3));
  }
  RouterPlan plan() { return world_.plan().routers.at("appnet"); }
  // Of the IPv4 frontend, as "kind address weight".
  std::vector<std::string> changes(const IpvsTable& from, const RouterPlan& to) {
    static const char* words[] = {"+service", "=service", "-service", "+", "=", "-"};
    std::vector<std::string> list;
    for (const auto& c : ipvs_changes(from, ipvs_table(to), to.own)) {
      if (c.frontend.address.is_v6()) continue;
      bool service = c.kind <= IpvsChange::kRemoveService;
      list.push_back(words[c.kind] +
                     (service ? " " + c.service.scheduler
                              : c.destination.address.to_string() + " " + std::to_string(c.destination.weight)));
    }
    return list;
  }
  World world_;
};

using Words = std::vector<std::string>;

TEST_F(IpvsChanges, FromNothingMakeServiceThenDestinations) {
  EXPECT_EQ(changes({}, plan()), (Words{"+service rr", "+10.32.0.2 1", "+10.32.0.3 1"}));
}

TEST_F(IpvsChanges, OfTheSameAreNone) { EXPECT_TRUE(changes(ipvs_table(plan()), plan()).empty()); }

TEST_F(IpvsChanges, LB08OfAWeightAreOneEditInPlace) {
  IpvsTable before = ipvs_table(plan());
  Service web = World::web();
  web.weights = {{"t3", 5}};
  world_.put(web);
  EXPECT_EQ(changes(before, plan()), (Words{"=10.32.0.3 5"}));
}

TEST_F(IpvsChanges, OfASchedulerEditTheServiceInPlace) {
  IpvsTable before = ipvs_table(plan());
  Service web = World::web();
  web.scheduler = "wrr";
  world_.put(web);
  EXPECT_EQ(changes(before, plan()), (Words{"=service wrr"}));
}

TEST_F(IpvsChanges, AddBeforeTheyRemove) {
  IpvsTable before = ipvs_table(plan());
  world_.endpoints.clear();
  world_.put(World::task(9));
  EXPECT_EQ(changes(before, plan()), (Words{"+10.32.0.9 1", "-10.32.0.2 1", "-10.32.0.3 1"}));
}

TEST_F(IpvsChanges, LB46OfOneTaskTouchOneDestination) {
  IpvsTable before = ipvs_table(plan());
  world_.put(World::task(4));
  EXPECT_EQ(changes(before, plan()), (Words{"+10.32.0.4 1"}));
}

TEST_F(IpvsChanges, LB44LeaveForeignServicesAlone) {
  IpvsTable before = ipvs_table(plan());
  auto add = [&](const char* address) {
    FrontendKey key{ip(address), kTcp, 99};
    before[key] = {{key.address, kTcp, 99, "rr", 0, 0}, {}};
  };
  add("172.16.0.1");
  EXPECT_TRUE(changes(before, plan()).empty());
  add("10.32.255.9");  // a VIP of ours whose service is gone
  EXPECT_EQ(changes(before, plan()), (Words{"-service rr"}));
}

TEST_F(IpvsChanges, AffinityIsPersistenceAndHashingFallsBack) {
  Service web = World::web();
  web.affinity_seconds = 60;
  web.scheduler = "sh";
  world_.put(web);
  auto service = ipvs_table(plan()).at({ip("10.32.255.1"), kTcp, 80}).service;
  EXPECT_EQ(service.flags, kernel::kIpvsPersistent | kernel::kIpvsFallback);
  EXPECT_EQ(service.timeout_seconds, 60u);
}

}  // namespace
}  // namespace fairlead::lb
