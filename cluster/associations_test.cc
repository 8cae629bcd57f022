// The exchange of associations, step by step.
#include "cluster/associations.h"

#include <gtest/gtest.h>

#include "cluster/associations_world.h"

namespace fairlead::cluster {
namespace {

TEST(Associations, TwoNodesComeTogetherInThreeSteps) {
  World w(1, 2);
  w.pass("n1");
  EXPECT_TRUE(w.at("n1").inbound["n2"].empty());
  w.deliver("n1", "n2");
  w.pass("n2");
  EXPECT_EQ(w.at("n2").inbound["n1"].size(), 1u) << "before it says so";
  EXPECT_FALSE(w.flows("n1", "n2"));
  w.deliver("n2", "n1");
  w.pass("n1");
  EXPECT_TRUE(w.flows("n1", "n2"));
  w.settle();
  w.expect_orderly();
  const size_t before = w.sent_with.size();
  w.settle(60000);
  EXPECT_EQ(w.sent_with.size(), before) << "where nothing changes nothing is made";
}

TEST(Associations, FiftyRotationsLoseNothing) {
  World w(2, 3);
  w.settle();
  for (int i = 0; i < 50; i++) {
    w.rotate();
    // In any order, whatever is between two steps: there is always a way.
    for (int step = 0; step < 60; step++) {
      const auto& name = w.names_[w.below(3)];
      const unsigned dice = w.below(4);
      if (dice == 0) w.learn(name);
      if (dice == 1) w.pass(name);
      if (dice >= 2) w.deliver(name, w.names_[w.below(3)]);
      w.now += w.below(200);
      ASSERT_TRUE(w.all_flow()) << "rotation " << i << " step " << step;
    }
    for (const auto& name : w.names_) w.learn(name);
    for (int64_t end = w.now + 6000; w.now < end; w.now += 500) {
      w.everything();
      ASSERT_TRUE(w.all_flow());
    }
    w.expect_orderly();
  }
}

TEST(Associations, TwoRotationsAtOnceLoseNothing) {
  World w(3, 3);
  w.settle();
  for (int i = 0; i < 20; i++) {
    w.rotate();
    w.learn(w.names_[w.below(3)]);
    w.pass(w.names_[w.below(3)]);
    w.rotate();
    for (const auto& name : w.names_) w.learn(name);
    for (int64_t end = w.now + 8000; w.now < end; w.now += 500) {
      w.everything();
      ASSERT_TRUE(w.all_flow()) << i;
    }
    w.expect_orderly();
  }
}

TEST(Associations, AHundredRestartsKeepWhatIsInUseAndUseNoKeyTwice) {
  World w(4, 3);
  w.settle();
  const auto before = w.at("n1").outbound;
  const size_t made = w.sent_with.size();
  for (int i = 0; i < 100; i++) {
    w.start(w.names_[static_cast<size_t>(i) % 3]);
    w.everything();
    ASSERT_TRUE(w.all_flow());
  }
  EXPECT_EQ(w.sent_with.size(), made) << "a restart makes nothing new";
  EXPECT_EQ(before.at("n2").begin()->first, w.at("n1").outbound["n2"].begin()->first);
}

TEST(Associations, ARestartAmidARotationDrawsAnew) {
  World w(5, 2);
  w.settle();
  for (int steps = 1; steps <= 4; steps++) {
    w.rotate();
    for (const auto& name : w.names_) w.learn(name);
    for (int i = 0; i < 3; i++) {
      w.pass("n1", steps);  // killed before it could write down what it did
      w.start("n1");
      ASSERT_TRUE(w.all_flow()) << steps;
      w.everything();
      ASSERT_TRUE(w.all_flow()) << steps;
    }
    w.settle();
    w.expect_orderly();
  }
}

TEST(Associations, WhatVanishedIsNotPutBackButMadeAnew) {
  World w(6, 2);
  w.settle();
  auto& n1 = w.at("n1");
  auto& n2 = w.at("n2");
  const uint32_t out = n1.policy["n2"];
  n1.outbound["n2"].clear();
  w.pass("n1");
  EXPECT_EQ(n1.policy["n2"], 0u) << "without an association no policy: the blocking one holds";
  w.settle();
  w.expect_orderly();
  EXPECT_NE(n1.policy["n2"], out);
  const uint32_t in = n2.inbound["n1"].begin()->first;
  n2.inbound["n1"].clear();
  w.settle();
  w.expect_orderly();
  EXPECT_NE(n2.inbound["n1"].begin()->first, in) << "or what was captured could be replayed";
  for (auto* node : {&n1, &n2}) node->inbound.clear(), node->outbound.clear(), node->policy.clear();
  w.settle();
  w.expect_orderly();
}

TEST(Associations, AUsedUpOneIsReplacedAndOnlyThat) {
  World w(7, 2);
  w.settle();
  auto& n1 = w.at("n1");
  const uint32_t other = w.at("n2").policy["n1"], old = n1.policy["n2"];
  n1.outbound["n2"].begin()->second.worn = true;
  for (int i = 0; i < 20; i++, w.now += 500) {
    w.everything();
    ASSERT_TRUE(w.all_flow());
  }
  w.expect_orderly();
  EXPECT_NE(n1.policy["n2"], old);
  EXPECT_EQ(w.at("n2").policy["n1"], other);
}

TEST(Associations, AfterAJumpOfTheClockNothingIsSentWithWhatWas) {
  World w(8, 2);
  w.settle();
  auto& n1 = w.at("n1");
  const uint32_t old = n1.policy["n2"];
  n1.jumped = true;
  w.pass("n1");
  EXPECT_EQ(n1.policy["n2"], 0u);
  EXPECT_EQ(n1.outbound["n2"].count(old), 0u);
  w.settle();
  w.expect_orderly();
}

TEST(Associations, ANodeThatIsGoneTakesEverythingWithIt) {
  World w(9, 3);
  w.settle();
  Machine& n1 = w.at("n1");
  auto f = w.facts(n1);
  f.peers.erase("n3");
  EXPECT_TRUE(n1.engine->plan(f).empty());
  EXPECT_EQ(n1.engine->documents().count("n3"), 0u);
  EXPECT_EQ(n1.engine->sending("n3"), 0u);
}

TEST(Associations, ANewSealKeyOnOneSideMeansAllAnewWithoutMisunderstanding) {
  World w(10, 2);
  w.settle();
  w.at("n2").key_version++;
  w.settle();
  w.expect_orderly();
}

TEST(Associations, WhoCannotOpenTheNewestIsNotLeftBehindWhileItIsListed) {
  World w(11, 2);
  w.settle();
  w.rotate();
  w.learn("n1");  // n2 has heard of nothing
  for (int i = 0; i < 200; i++, w.now += 500) {
    w.everything();
    ASSERT_TRUE(w.all_flow());
  }
  w.rotate();  // now its epoch is gone; what is in use goes on for a while, not for ever
  w.learn("n1");
  for (int i = 0; i < 20; i++, w.now += 500) w.everything();
  EXPECT_TRUE(w.all_flow());
  w.now += Associations::kGoneEpochMs;
  w.everything();
  EXPECT_FALSE(w.flows("n1", "n2"));
  EXPECT_FALSE(w.flows("n2", "n1"));
  w.learn("n2");
  w.settle(3000);
  EXPECT_TRUE(w.all_flow()) << "back within seconds";
}

TEST(Associations, OffersWithoutEndDoNotPileUp) {
  World w(12, 2);
  w.settle();
  for (int i = 0; i < 100; i++) {
    w.at("n1").written["n2"].send->instance = w.bytes(16);
    w.deliver("n1", "n2");
    w.pass("n2");
    ASSERT_LE(w.at("n2").written["n1"].receive.size(), AssociationDocument::kMaxReceive);
    ASSERT_LE(w.at("n2").inbound["n1"].size(), AssociationDocument::kMaxReceive);
    ASSERT_TRUE(w.flows("n1", "n2")) << "what is in use is not what makes room";
  }
}

}  // namespace
}  // namespace fairlead::cluster
