// The roll call against an etcd of the test's own; skipped where there is none.
#include "cluster/roll_call.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cluster/block_claims.h"
#include "cluster/store_world.h"

namespace fairlead::cluster {
namespace {

class RollCallTest : public StoreTest {
 protected:
  std::unique_ptr<RollCall> front(int64_t seen = 0) {
    return std::make_unique<RollCall>(*etcd_, feed_, [seen] { return seen; });
  }
  void tend(RollCall& calls, int64_t now_ms, int times = 1) {
    for (int i = 0; i < times; i++) {
      listen();
      auto done = calls.tend(now_ms);
      ASSERT_TRUE(done) << done.error().message;
    }
    listen();
  }
  std::optional<RollCallDocument> stored() {
    auto document = etcd_->get(store_key(kRollCall));
    if (!document || !*document) return std::nullopt;
    return *decode_roll_call((*document)->value);
  }
  size_t granted(const RollCall& calls, const Identity& who) {
    BlockClaims claims(*etcd_, feed_, calls);
    auto answer = claims.claim(who, {{"network", "net"}, {"need", {4}}});
    EXPECT_TRUE(answer) << answer.error().message;
    return answer ? (*answer)["granted"].size() : 0;
  }
};

TEST_F(RollCallTest, NobodyGetsABlockBeforeAllHaveToldAndThenEverybodyDoes) {
  network("10.32.0.0/16");
  Identity n1 = member("n1", 1), n2 = member("n2", 2);
  auto calls = front();
  EXPECT_FALSE(calls->announced());
  EXPECT_EQ(granted(*calls, n1), 0u) << "before the roll is called";
  tend(*calls, 0);
  EXPECT_TRUE(calls->announced());
  ASSERT_TRUE(stored());
  EXPECT_EQ(stored()->waiting, (std::vector<std::string>{"n1", "n2"}));
  EXPECT_FALSE(stored()->restored);
  calls->told(n1, stored()->id);
  calls->told(n2, "of another roll call");
  calls->told(n1, stored()->id);
  tend(*calls, 1000);
  EXPECT_EQ(stored()->waiting, (std::vector<std::string>{"n2"}));
  EXPECT_EQ(granted(*calls, n1), 0u) << "n2 has not told";
  EXPECT_EQ(calls->lineage(), "");
  calls->told(n2, stored()->id);
  const std::string id = stored()->id;
  tend(*calls, 2000);
  EXPECT_FALSE(stored());
  EXPECT_EQ(granted(*calls, n1), 1u) << "at once, not at the next look";
  tend(*calls, 2500);
  EXPECT_TRUE(calls->is_open());
  EXPECT_EQ(calls->lineage(), id);
}

TEST_F(RollCallTest, WhoIsEvictedIsNotWaitedForAndWhoIsAwayHalfAMinute) {
  network("10.32.0.0/16");
  Identity n1 = member("n1", 1);
  for (const char* name : {"away", "evicted", "mute"}) member(name, 2);
  put("live/mute", "{}");
  auto calls = front();
  tend(*calls, 0);
  calls->told(n1, stored()->id);
  put("members/evicted", std::nullopt);
  tend(*calls, RollCall::kAwayMs - 1);
  EXPECT_EQ(stored()->waiting, (std::vector<std::string>{"away", "mute"}));
  tend(*calls, RollCall::kAwayMs);
  EXPECT_EQ(stored()->waiting, (std::vector<std::string>{"mute"})) << "it is there, and says nothing";
  tend(*calls, RollCall::kSilentMs - 1);
  EXPECT_EQ(granted(*calls, n1), 0u);
  tend(*calls, RollCall::kSilentMs, 2);
  EXPECT_EQ(granted(*calls, n1), 1u);
}

TEST_F(RollCallTest, AStoreThatHasGoneBackForCertainWaitsForAllHoweverLongTheyAreAway) {
  network("10.32.0.0/16");
  put("counters/node", "2");
  Identity n1 = member("n1", 1), n2 = member("n2", 2);
  auto calls = front(1000000);
  tend(*calls, 0);
  EXPECT_TRUE(stored()->restored) << "this manager's node has seen more of it";
  EXPECT_EQ((*etcd_->get(store_key("counters/node")))->value, "102") << "members of the lost past have numbers";
  calls->told(n1, stored()->id);
  tend(*calls, 2 * RollCall::kSilentMs, 2);
  EXPECT_EQ(granted(*calls, n1), 0u);
  // The manager is started again: all have to tell again, and it stays certain, whoever starts.
  auto other = front();
  tend(*other, 0);
  EXPECT_TRUE(stored()->restored);
  EXPECT_EQ(stored()->waiting.size(), 2u);
  for (const auto& who : {n1, n2}) other->told(who, stored()->id);
  tend(*other, 100, 2);
  EXPECT_EQ(granted(*other, n1), 1u);
  // A member that has seen more, at any time.
  ASSERT_TRUE(other->note_restored());
  ASSERT_TRUE(other->note_restored());
  EXPECT_EQ((*etcd_->get(store_key("counters/node")))->value, "202") << "once";
  EXPECT_EQ(granted(*other, n1), 0u);
  tend(*other, 200);
  ASSERT_TRUE(stored()) << "that the front was open is no proof against it";
  for (const auto& who : {n1, n2}) other->told(who, stored()->id);
  tend(*other, 300, 2);
  EXPECT_EQ(granted(*other, n1), 1u);
}

TEST_F(RollCallTest, AManagerThatWasThereAllTheTimeEndsItForOneThatStarts) {
  network("10.32.0.0/16");
  Identity n1 = member("n1", 1);
  auto first = front(), second = front();
  ASSERT_TRUE(first->begin());
  listen();
  const std::string lineage = first->lineage();
  tend(*second, 0);
  EXPECT_EQ(granted(*second, n1), 0u);
  EXPECT_EQ(granted(*first, n1), 1u) << "nobody else waits for it";
  tend(*first, 0);
  EXPECT_FALSE(stored());
  tend(*second, 10);
  EXPECT_TRUE(second->is_open());
  EXPECT_EQ(second->lineage(), lineage) << "who changes managers goes on from where it was";
  // etcd itself is started anew, under both of them.
  first->close();
  second->close();
  EXPECT_EQ(granted(*first, n1), 0u);
  tend(*first, 0);
  tend(*second, 0);
  EXPECT_EQ(stored()->fronts.size(), 2u) << "one roll call for both";
  tend(*first, 1);
  first->told(n1, stored()->id);
  tend(*first, 2);
  EXPECT_FALSE(stored());
  EXPECT_EQ(granted(*second, n1), 1u);
}

// One of a manager's former start that was in the copy says nothing about this one.
TEST_F(RollCallTest, ARollCallThatCameWithTheCopyIsCalledAgain) {
  network("10.32.0.0/16");
  Identity n1 = member("n1", 1), n2 = member("n2", 2);
  put(kRollCall, encode(RollCallDocument{"old", false, {"before"}, {"n2"}}));
  auto calls = front();
  listen();
  EXPECT_FALSE(calls->announced());
  tend(*calls, 0);
  EXPECT_EQ(stored()->waiting.size(), 2u);
  EXPECT_NE(stored()->id, "old");
  put(kRollCall, "broken");
  EXPECT_FALSE(BlockClaims(*etcd_, feed_, *calls).claim(n1, {{"network", "net"}, {"need", {4}}}));
  tend(*calls, 10);
  ASSERT_EQ(stored()->waiting.size(), 2u);
}

}  // namespace
}  // namespace fairlead::cluster
