#include "cluster/feed.h"

#include <gtest/gtest.h>

#include <thread>

namespace fairlead::cluster {
namespace {

bool all(const std::string&) { return true; }

TEST(Feed, WhoHasTheSnapshotMissesNoChangeAfterIt) {
  Feed feed;
  feed.replace({{"a", "1"}, {"b", "1"}}, 10);
  auto snapshot = feed.snapshot(all);
  EXPECT_EQ(snapshot.revision, 10);
  feed.apply({{"a", "2", 11}, {"b", std::nullopt, 12}}, 12);
  auto step = feed.wait(10, 0);
  ASSERT_FALSE(step.lost);
  ASSERT_EQ(step.events.size(), 2u);
  EXPECT_EQ(step.events[0].value, "2");
  EXPECT_FALSE(step.events[1].value);
  EXPECT_EQ(step.revision, 12);
  EXPECT_EQ(feed.snapshot(all).documents, (Feed::Documents{{"a", "2"}}));
  EXPECT_TRUE(feed.wait(12, 0).events.empty());
}

TEST(Feed, ChangesThatAreKnownAreSkipped) {
  Feed feed;
  feed.replace({{"a", "2"}}, 11);
  feed.apply({{"a", "1", 10}, {"a", "3", 12}}, 12);
  EXPECT_EQ(feed.get("a"), "3");
  EXPECT_EQ(feed.wait(11, 0).events.size(), 1u);
}

TEST(Feed, WhatAReadingFindsDifferentIsAChange) {
  Feed feed;
  feed.replace({{"a", "1"}, {"b", "1"}}, 10);
  feed.replace({{"b", "2"}, {"c", "1"}}, 20);
  EXPECT_EQ(feed.wait(10, 0).events.size(), 3u);
  // An event that etcd had lost: the reading is of the revision that is known already.
  feed.replace({{"b", "2"}}, 20);
  EXPECT_TRUE(feed.wait(20, 0).lost || !feed.wait(20, 0).events.empty() || feed.wait(10, 0).lost);
}

TEST(Feed, AStoreThatHasGoneBackMakesEverybodyBeginAgain) {
  Feed feed;
  feed.replace({{"a", "1"}}, 100);
  feed.replace({}, 5);
  EXPECT_EQ(feed.revision(), 5);
  EXPECT_TRUE(feed.wait(100, 0).lost);
  EXPECT_FALSE(feed.wait(5, 0).lost);
}

TEST(Feed, WhoComesTooLateIsTold) {
  Feed feed;
  feed.replace({}, 1);
  for (int64_t i = 2; i < 30000; i++) feed.apply({{"a", std::to_string(i), i}}, i);
  EXPECT_TRUE(feed.wait(1, 0).lost);
  EXPECT_EQ(feed.wait(29990, 0).events.size(), 9u);
}

TEST(Feed, WakesWhoWaits) {
  Feed feed;
  feed.replace({}, 1);
  std::thread writer([&] { feed.apply({{"a", "1", 2}}, 2); });
  EXPECT_TRUE(feed.reach(2, 60000));
  writer.join();
  EXPECT_FALSE(feed.reach(3, 1));
}

}  // namespace
}  // namespace fairlead::cluster
