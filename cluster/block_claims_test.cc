// Claims against an etcd of the test's own; skipped where there is none.
#include "cluster/block_claims.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include <nlohmann/json.hpp>

#include "cluster/block_plan.h"
#include "cluster/store_world.h"

namespace fairlead::cluster {
namespace {

class BlockClaimsTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    if (!etcd_) return;
    calls_ = std::make_unique<RollCall>(*etcd_, feed_, [] { return 0; });
    ASSERT_TRUE(calls_->begin());
  }
  NodeBlocks blocks_of(const std::string& name) {
    auto document = etcd_->get(store_key("blocks/net/" + name));
    if (!document || !*document) return {};
    return *decode_node_blocks(*parse_json((*document)->value, "b"), "b");
  }

  std::unique_ptr<RollCall> calls_;
};

Json claim_of(const Json& more) {
  Json request{{"network", "net"}, {"need", {4}}};
  request.update(more);
  return request;
}

TEST_F(BlockClaimsTest, TwoHundredNodesAtOnceByThreeManagersGetDistinctBlocks) {
  network("10.32.0.0/16");
  constexpr int kNodes = 200, kManagers = 3;
  std::vector<Identity> nodes;
  for (int i = 0; i < kNodes; i++) nodes.push_back(member("n" + std::to_string(i), static_cast<uint32_t>(i + 1)));
  std::vector<std::unique_ptr<BlockClaims>> managers;
  for (int i = 0; i < kManagers; i++) managers.push_back(std::make_unique<BlockClaims>(*etcd_, feed_, *calls_));
  std::vector<std::thread> threads;
  std::atomic<int> granted{0};
  for (int t = 0; t < kManagers * 4; t++)
    threads.emplace_back([&, t] {
      for (int i = t; i < kNodes; i += kManagers * 4) {
        // Another manager may be faster many times in a row; a node asks again then.
        auto answer = managers[static_cast<size_t>(t % kManagers)]->claim(nodes[static_cast<size_t>(i)],
                                                                          claim_of(Json::object()));
        for (int again = 0; !answer && again < 20; again++)
          answer = managers[static_cast<size_t>(t % kManagers)]->claim(nodes[static_cast<size_t>(i)],
                                                                       claim_of(Json::object()));
        if (answer && (*answer)["granted"].size() == 1) granted++;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(granted, kNodes);
  std::vector<Prefix> all;
  for (const auto& node : nodes)
    for (const auto& block : blocks_of(node.name).blocks) {
      for (const auto& other : all) ASSERT_FALSE(other.overlaps(block)) << block.to_string();
      all.push_back(block);
    }
  EXPECT_EQ(all.size(), static_cast<size_t>(kNodes));
}

TEST_F(BlockClaimsTest, WhatIsGivenBackAndWhatIsHeldIsBelievedAndAnothersIsRefused) {
  network("10.32.0.0/28");
  BlockClaims claims(*etcd_, feed_, *calls_);
  Identity n1 = member("n1", 1), n2 = member("n2", 2);
  auto held = claims.claim(n1, claim_of({{"held", {"10.32.0.9/32"}}, {"need", Json::array()}}));
  ASSERT_TRUE(held) << held.error().message;
  EXPECT_EQ(blocks_of("n1").blocks, (std::vector<Prefix>{*Prefix::parse("10.32.0.8/30")}));
  auto refused = claims.claim(n2, claim_of({{"held", {"10.32.0.10/32"}}, {"need", Json::array()}}));
  ASSERT_TRUE(refused);
  EXPECT_EQ((*refused)["refused"].dump(), R"([{"block":"10.32.0.10/32","node":"n1"}])");
  EXPECT_TRUE(blocks_of("n2").blocks.empty());
  for (int i = 0; i < 3; i++) ASSERT_TRUE(claims.claim(n2, claim_of(Json::object())));
  ASSERT_TRUE(claims.claim(n2, claim_of({{"urgent", {4}}})));
  EXPECT_EQ(blocks_of("n2").wants4, "now") << "nothing is left";
  ASSERT_TRUE(claims.claim(n1, claim_of({{"give", {"10.32.0.10/31"}}, {"need", Json::array()}})));
  EXPECT_EQ(blocks_of("n1").blocks, (std::vector<Prefix>{*Prefix::parse("10.32.0.8/31")}));
  put("live/n2", R"({"node":"n2","number":2})");
  listen();
  EXPECT_EQ((*claims.claim(n1, claim_of(Json::object())))["granted"].size(), 0u) << "n2 waits for it";
  auto got = claims.claim(n2, claim_of({{"urgent", {4}}}));
  ASSERT_TRUE(got);
  EXPECT_EQ((*got)["granted"].dump(), R"(["10.32.0.10/31"])");
  EXPECT_EQ(blocks_of("n2").wants4, "");
}

TEST_F(BlockClaimsTest, AFormerMembersAddressesRestUntilNothingSpeaksForItAndTheGraceIsOver) {
  network("10.32.0.0/29");
  BlockClaims claims(*etcd_, feed_, *calls_);
  Identity n1 = member("n1", 1), n2 = member("n2", 2);
  ASSERT_TRUE(claims.claim(n2, claim_of(Json::object())));
  ASSERT_TRUE(claims.claim(n2, claim_of(Json::object())));
  const auto had = blocks_of("n2").blocks;
  auto n1_gets = [&] { return (*claims.claim(n1, claim_of(Json::object())))["granted"].size(); };
  auto tend = [&](int64_t now) {
    listen();
    ASSERT_TRUE(claims.tend(now, 1000));
    listen();
  };
  tend(0);
  EXPECT_EQ(n1_gets(), 0u) << "all is n2's";
  put("live/n2", R"({"node":"n2","number":2})");
  put("members/n2", std::nullopt);
  EXPECT_FALSE(claims.claim(n2, claim_of(Json::object()))) << "it is no member";
  tend(100);
  EXPECT_TRUE(blocks_of("n2").blocks.empty()) << "nobody has a route there";
  tend(5000);
  EXPECT_EQ(n1_gets(), 0u) << "its lease is still there";
  put("live/n2", std::nullopt);
  put("endpoints/net/n2/ab-eth0",
      R"({"apiVersion":1,"network":"net","container":"ab","ifname":"eth0","netns":"/x","node":"n2","addresses":["10.32.0.2"],"mac":"02:00:00:00:00:01"})");
  tend(10000);
  tend(12000);
  EXPECT_EQ(n1_gets(), 0u) << "an endpoint of it is still there";
  put("endpoints/net/n2/ab-eth0", std::nullopt);
  tend(12500);
  EXPECT_EQ(n1_gets(), 0u) << "the grace runs since it was last heard of";
  // The name comes back while its addresses rest: they are that one's only as far as it still has them in use.
  Identity again = member("n2", 3);
  auto back = claims.claim(again, claim_of({{"held", {had[0].to_string()}}, {"need", Json::array()}}));
  ASSERT_TRUE(back);
  EXPECT_EQ(blocks_of("n2").blocks, (std::vector<Prefix>{had[0]}));
  EXPECT_EQ(blocks_of("n2").number, 3u);
  tend(13200);
  EXPECT_EQ(n1_gets(), 1u) << "the rest is free";
}

TEST_F(BlockClaimsTest, ABrokenDocumentStopsTheOthersUntilItsNodeHasToldWhatWasInIt) {
  network("10.32.0.0/16");
  BlockClaims claims(*etcd_, feed_, *calls_);
  Identity n1 = member("n1", 1), n2 = member("n2", 2);
  ASSERT_TRUE(claims.claim(n1, claim_of(Json::object())));
  const Prefix block = blocks_of("n1").blocks.at(0);
  put("blocks/net/n1", "{");
  auto refused = claims.claim(n2, claim_of(Json::object()));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("node n1"), std::string::npos) << refused.error().message;
  ASSERT_TRUE(claims.claim(n1, claim_of({{"held", {block.to_string()}}, {"need", Json::array()}})));
  EXPECT_EQ(blocks_of("n1").blocks, (std::vector<Prefix>{block}));
  ASSERT_TRUE(claims.claim(n2, claim_of(Json::object())));
  EXPECT_FALSE(blocks_of("n2").blocks.at(0).overlaps(block));
}

// Both use it after a store was put back: neither gives any of it, and what one does not need is the other's.
TEST_F(BlockClaimsTest, WhatTwoNodesUseIsDisputedUntilOneOfThemGivesItUp) {
  network("10.32.0.0/28");
  BlockClaims claims(*etcd_, feed_, *calls_);
  Identity n1 = member("n1", 1), n2 = member("n2", 2);
  auto ask = [&](const Identity& who, const Json& more) { return claims.claim(who, claim_of(more)); };
  ASSERT_TRUE(ask(n1, Json::object()));
  const Prefix block = blocks_of("n1").blocks.at(0);
  const Json held{{"held", {block.to_string()}}, {"need", Json::array()}};
  for (int i = 0; i < 2; i++) {
    auto refused = ask(n2, held);
    ASSERT_TRUE(refused);
    EXPECT_EQ((*refused)["refused"].size(), 1u);
    EXPECT_EQ(blocks_of("n1").disputed, (std::map<Prefix, std::string>{{block, "n2"}}));
  }
  ASSERT_TRUE(ask(n2, {{"held", Json::array()}, {"need", Json::array()}}));
  EXPECT_TRUE(blocks_of("n1").disputed.empty()) << "n2 no longer has it";
  ASSERT_TRUE(ask(n2, held));
  ASSERT_TRUE(ask(n1, {{"give", {block.to_string()}}, {"need", Json::array()}}));
  EXPECT_TRUE(blocks_of("n1").disputed.empty());
  ASSERT_TRUE(ask(n2, held));
  EXPECT_EQ(blocks_of("n2").blocks, (std::vector<Prefix>{block})) << "n1 had no use for it";
  ASSERT_TRUE(ask(n1, {{"held", {block.to_string()}}, {"need", Json::array()}}));
  EXPECT_EQ(blocks_of("n2").disputed, (std::map<Prefix, std::string>{{block, "n1"}}));
  put("members/n1", std::nullopt);
  listen();
  ASSERT_TRUE(claims.tend(0, 1000));
  EXPECT_TRUE(blocks_of("n2").disputed.empty()) << "with whom there is a dispute is no member any more";
}

}  // namespace
}  // namespace fairlead::cluster
