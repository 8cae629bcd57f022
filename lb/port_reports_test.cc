#include "lb/port_reports.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "lb/test_documents.h"
#include "state/store.h"

namespace fairlead::lb {
namespace {

class PortReportsTest : public testing::Test {
 protected:
  PortReportsTest() {
    char name[] = "/tmp/port-reports-XXXXXX";
    paths_.run = mkdtemp(name);
  }
  ~PortReportsTest() override { std::filesystem::remove_all(paths_.run); }

  // t2 publishes 8000 as 80.
  static World world() {
    World world;
    Endpoint e = World::task(2, "");
    e.port_mappings = {{"tcp", 8000, 80, ""}};
    e.attempt = 7;
    world.put(e);
    return world;
  }
  std::string report(const std::string& attachment) {
    auto found = load_port_report(paths_, "appnet", attachment);
    if (!found || !*found) return "none";
    const PortReport& r = **found;
    return std::to_string(r.attempt) + (r.answers ? " answers" : " ") + r.problem;
  }

  Paths paths_;
};

Realised yes(const std::string&, const MappingPlan& mapping) {
  EXPECT_EQ(mapping.frontends.size(), 2u);  // both families
  return {true, ""};
}

TEST_F(PortReportsTest, SaysWhatBecameOfEachEndpointsPortsAndTakesItBackWithTheEndpoint) {
  PortReports reports(paths_);
  ASSERT_TRUE(reports.restore());
  ASSERT_TRUE(reports.update(world().plan(), [](const auto&, const auto&) { return Realised{}; }));
  EXPECT_EQ(report("t2-eth0"), "7 ");
  ASSERT_TRUE(reports.update(world().plan(), yes));
  EXPECT_EQ(report("t2-eth0"), "7 answers");
  ASSERT_TRUE(reports.update(World().plan(), yes));
  EXPECT_EQ(report("t2-eth0"), "none");
}

TEST_F(PortReportsTest, AContestedPortNamesPortAndHolderAndTheHolderAnswers) {
  World both = world();
  Endpoint e = World::task(3, "");
  e.port_mappings = {{"tcp", 8000, 80, ""}, {"tcp", 8001, 80, ""}};
  e.attempt = 8;
  both.put(e);
  PortReports reports(paths_);
  ASSERT_TRUE(reports.restore());
  ASSERT_TRUE(reports.update(both.plan(), yes));
  EXPECT_EQ(report("t2-eth0"), "7 answers");
  EXPECT_EQ(
      report("t3-eth0"),
      "8 published tcp port 8000 of container t3 of network appnet is already published by container t2 of network "
      "appnet: not published; choose another port for one of them");
}

TEST_F(PortReportsTest, WhatAnEarlierProcessWroteIsTakenOverAndStrayReportsGo) {
  {
    PortReports reports(paths_);
    ASSERT_TRUE(reports.update(world().plan(), yes));
  }
  ASSERT_TRUE(save(paths_, PortReport{"appnet", "gone-eth0", 1, true, "", ""}));
  ASSERT_TRUE(replace_file(paths_.port_report("appnet", "bad-eth0"), "{", Durability::kBoot));
  PortReports reports(paths_);
  ASSERT_TRUE(reports.restore());
  ASSERT_TRUE(reports.update(world().plan(), yes));
  EXPECT_EQ(report("t2-eth0"), "7 answers");
  EXPECT_EQ(*list_documents(paths_.ports("appnet")), std::vector<std::string>{"t2-eth0"});
}

TEST(PlanOfMappings, AnAddressTheContainerLacksIsAProblemNotSilence) {
  World world;
  Endpoint e = World::task(2, "");
  e.addresses = {ip("10.32.0.2")};
  e.port_mappings = {{"udp", 8000, 80, "2001:db8::1"}};
  world.put(e);
  EXPECT_EQ(world.plan().mappings.at({"appnet", "t2-eth0"}).problem,
            "udp port 8000 of 2001:db8::1: the container has no usable address of that family");
}

TEST(PlanOfMappings, OfTwoContainersWhoseIdsBeginAlikeTheFirstKeepsItsPort) {
  World world;
  Endpoint first = World::task(2, "");
  first.container = "default-web-2";
  first.port_mappings = {{"tcp", 8000, 80, ""}};
  world.put(first);
  Incumbents claimed;
  world.plan({}, &claimed);
  Endpoint second = World::task(3, "");
  second.container = "default-web-1";  // before the other one by name
  second.port_mappings = first.port_mappings;
  world.put(second);
  Plan plan = world.plan(claimed);
  EXPECT_EQ(plan.mappings.at({"appnet", "default-web-2-eth0"}).problem, "");
  EXPECT_NE(plan.mappings.at({"appnet", "default-web-1-eth0"}).problem, "");
}

}  // namespace
}  // namespace fairlead::lb
