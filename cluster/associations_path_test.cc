// Which form a node sends in: found out by probes, per direction.
#include <gtest/gtest.h>

#include "cluster/associations_world.h"

namespace fairlead::cluster {
namespace {

uint16_t form(World& w, const std::string& a, const std::string& b) {
  return w.at(a).outbound[b].at(w.at(a).policy[b]).udp;
}

TEST(AssociationsPath, WhereEverythingPassesItIsPlainAndProbedOnce) {
  World w(1, 3);
  w.settle();
  w.expect_orderly();
  for (const auto& a : w.names_) {
    for (const auto& b : w.names_) {
      if (a == b) continue;
      EXPECT_EQ(form(w, a, b), 0);
      EXPECT_TRUE(w.at(a).engine->path(b).arrives);
      EXPECT_EQ(w.at(a).written[b].probed, 1u);
    }
  }
  w.settle(60000);
  EXPECT_EQ(w.at("n1").written["n2"].probed, 1u) << "and not again";
}

TEST(AssociationsPath, WhereProtocol50DoesNotPassInOneDirectionThatOneGoesInUdp) {
  World w(2, 2);
  w.blocked = {{"n1", "n2", false}};
  w.settle();
  w.expect_orderly();
  EXPECT_EQ(form(w, "n1", "n2"), 4793);
  EXPECT_EQ(form(w, "n2", "n1"), 0);
}

TEST(AssociationsPath, WhereItDoesNotPassAtAllBothGoInUdpAndRotationsBeginSo) {
  World w(3, 2);
  w.at("n2").udp = 5000;
  w.blocked = {{"n1", "n2", false}, {"n2", "n1", false}};
  w.settle();
  w.expect_orderly();
  EXPECT_EQ(form(w, "n1", "n2"), 5000) << "the receiver's port";
  EXPECT_EQ(form(w, "n2", "n1"), 4793);
  for (int i = 0; i < 10; i++) {
    w.rotate();
    for (const auto& name : w.names_) w.learn(name);
    if (i % 2) w.start("n1");
    for (int64_t end = w.now + 6000; w.now < end; w.now += 500) {
      w.everything();
      ASSERT_TRUE(w.all_flow()) << "rotation " << i;
    }
    w.expect_orderly();
  }
}

TEST(AssociationsPath, WhoTakesNoUdpIsSentPlainEspWhateverIsMissing) {
  World w(4, 2);
  w.at("n2").udp = 0;
  w.blocked = {{"n1", "n2", false}};
  w.settle();
  EXPECT_EQ(form(w, "n1", "n2"), 0);
  EXPECT_GE(w.at("n1").engine->path("n2").missed, Associations::kMissedRounds);
  const size_t before = w.sent_with.size();
  w.settle(60000);
  EXPECT_EQ(w.sent_with.size(), before) << "there is nothing else to try";
  w.at("n2").udp = 4793;
  w.settle();
  w.expect_orderly();
  EXPECT_EQ(form(w, "n1", "n2"), 4793) << "it does now";
  w.at("n2").udp = 0;
  w.blocked.clear();
  w.settle();
  w.expect_orderly();
  EXPECT_EQ(form(w, "n1", "n2"), 0) << "and not any more";
}

TEST(AssociationsPath, WhereNeitherPassesBothAreTriedWithGrowingPausesUntilOneDoes) {
  for (const bool opened : {false, true}) {
    World w(5, 2);
    w.blocked = {{"n1", "n2", false}, {"n1", "n2", true}};
    w.settle(60000);
    EXPECT_GE(w.at("n1").engine->path("n2").changes, 2u);
    EXPECT_FALSE(w.at("n1").engine->path("n2").arrives);
    EXPECT_TRUE(w.flows("n2", "n1")) << "the other direction is not concerned";
    const size_t before = w.sent_with.size();
    w.settle(60000);
    EXPECT_LE(w.sent_with.size() - before, 60000u / (3 * Associations::kLongestPauseMs) + 1);
    w.blocked.erase({"n1", "n2", opened});
    w.settle(40000);
    w.expect_orderly();
    EXPECT_EQ(form(w, "n1", "n2") != 0, opened);
    EXPECT_EQ(w.at("n1").engine->path("n2").changes, 0u);
  }
}

TEST(AssociationsPath, ASlowWayOfTheDocumentsIsNoBrokenWayOfThePackets) {
  World w(6, 2);
  w.settle(500);
  for (int i = 0; i < 200; i++) {  // half a minute for each document
    for (int k = 0; k < 60; k++, w.now += 500) w.pass("n1"), w.pass("n2");
    w.deliver("n1", "n2"), w.deliver("n2", "n1");
  }
  w.settle();
  w.expect_orderly();
  EXPECT_EQ(form(w, "n1", "n2"), 0);
  EXPECT_EQ(form(w, "n2", "n1"), 0);
  EXPECT_EQ(w.sent_with.size(), 2u);
}

TEST(AssociationsPath, OperatorsDecide) {
  World w(7, 2);
  w.at("n1").encapsulation = Encapsulation::kUdp;
  w.at("n2").encapsulation = Encapsulation::kNone;
  w.blocked = {{"n2", "n1", false}};
  w.settle();
  EXPECT_EQ(form(w, "n1", "n2"), 4793);
  EXPECT_EQ(form(w, "n2", "n1"), 0);
  w.blocked.clear();
  w.settle();
  w.expect_orderly();
  w.at("n1").encapsulation = Encapsulation::kNone;
  w.at("n2").encapsulation = Encapsulation::kUdp;
  w.settle();
  w.expect_orderly();
  EXPECT_EQ(form(w, "n1", "n2"), 0);
  EXPECT_EQ(form(w, "n2", "n1"), 4793);
}

TEST(AssociationsPath, OnlyUdpMeansNothingToWhoTakesNone) {
  World w(8, 2);
  w.at("n1").encapsulation = Encapsulation::kUdp;
  w.at("n2").udp = 0;
  w.settle();
  EXPECT_EQ(w.at("n1").policy["n2"], 0u);
  EXPECT_TRUE(w.flows("n2", "n1"));
}

TEST(AssociationsPath, WhoDoesNotAnswerProbesIsSentToAsBefore) {
  World w(9, 2);
  w.blocked = {{"n1", "n2", false}};
  for (int i = 0; i < 100; i++, w.now += 500) {
    w.everything();
    for (auto& entry : w.at("n1").heard["n2"].receive) entry.answered = 0, entry.got = false;
  }
  EXPECT_EQ(form(w, "n1", "n2"), 0);
  EXPECT_EQ(w.at("n1").written["n2"].probed, 1u);
}

}  // namespace
}  // namespace fairlead::cluster
