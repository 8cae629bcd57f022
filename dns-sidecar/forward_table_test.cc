#include "dns-sidecar/forward_table.h"

#include <gtest/gtest.h>

#include <random>

#include "dns-sidecar/testing.h"

namespace fairlead::dns {
namespace {

using namespace testing;

struct Sent {
  AttemptId attempt;
  std::string server;
  Bytes bytes;
  bool tcp;
  uint16_t id() const { return get16(bytes.data()); }
};
struct Replied {
  uint64_t channel;
  Bytes bytes;
  unsigned rcode() const { return bytes[3] & 15; }
};

class ForwardTest : public ::testing::Test, public UpstreamTransport, public ReplySink {
 protected:
  bool send(AttemptId attempt, const ServerAddress& server, const uint8_t* data, size_t size, bool tcp) override {
    if (unreachable.count(server.to_string())) return false;
    sent.push_back({attempt, server.to_string(), Bytes(data, data + size), tcp});
    return true;
  }
  void cancel(AttemptId attempt) override { cancelled.insert(attempt); }
  void reply(const Origin& origin, const uint8_t* data, size_t size) override {
    replies.push_back({origin.channel, Bytes(data, data + size)});
  }

  void servers(const std::vector<std::string>& list) {
    std::vector<ServerAddress> addresses;
    for (const auto& s : list) addresses.push_back({addr(s), ""});
    table.set_servers(addresses, {});
  }
  ForwardRequest request(const std::string& name, uint64_t channel = 1, const std::string& client = "10.1.0.1",
                         bool edns = false, bool tcp = false) {
    Bytes bytes = ask(name, kTypeA, edns);
    Query query;
    EXPECT_EQ(parse_query(bytes.data(), bytes.size(), query), Parsed::kOk);
    ForwardRequest r;
    fill_request(query, tcp, r);
    r.client = addr(client);
    r.origin.channel = channel;
    return r;
  }
  // An answer to what was sent, with one A record (or none).
  Bytes answer(const Sent& to, unsigned rcode = kNoError) {
    Bytes a(to.bytes);
    a[2] |= 0x80;
    a[3] = static_cast<uint8_t>(0x80 | rcode);
    if (a[11]) a.resize(a.size() - kOptBytes), a[11] = 0;
    if (rcode == kNoError) {
      a[7] = 1;
      for (int b : {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7}) a.push_back(static_cast<uint8_t>(b));
    }
    return a;
  }
  void give(size_t index, unsigned rcode = kNoError) {
    Bytes a = answer(sent[index], rcode);
    table.on_answer(now, sent[index].attempt, a.data(), a.size());
  }
  void run_to(Millis time) {
    while (table.next_time() >= 0 && table.next_time() <= time) {
      now = std::max(now, table.next_time());
      table.on_time(now);
    }
    now = time;
  }

  Millis now = 1000;
  std::vector<Sent> sent;
  std::vector<Replied> replies;
  std::set<AttemptId> cancelled;
  std::set<std::string> unreachable;
  ForwardTable table{*this, *this, {8, 20}};
};

TEST_F(ForwardTest, PassesAnAnswerWithTheAskersOwnIdCaseAndOpt) {
  servers({"192.0.2.1"});
  table.submit(now, request("WwW.Example.com", 5, "10.1.0.1", true));
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_NE(sent[0].id(), 0x1234);
  give(0);
  ASSERT_EQ(replies.size(), 1u);
  Answer a;
  a.bytes = replies[0].bytes;
  read_answer(a);
  EXPECT_EQ(a.answers, std::vector<std::string>{"192.0.2.7"});
  EXPECT_EQ(a.additional, 1u);
  EXPECT_EQ(read_name(a.bytes, 12), "WwW.Example.com");
  EXPECT_EQ(get16(a.bytes.data()), 0x1234);
  EXPECT_EQ(table.in_flight(), 0u);
  EXPECT_EQ(table.waiting(), 0u);
}

TEST_F(ForwardTest, EqualQuestionsInFlightAreAskedOnceAndEachAskerAnsweredInHisCase) {
  servers({"192.0.2.1"});
  for (uint64_t i = 0; i < 10; i++)
    table.submit(now, request(i % 2 ? "slow.example" : "SLOW.example", i, "10.1.0." + std::to_string(i)));
  EXPECT_EQ(sent.size(), 1u);
  table.submit(now, request("slow.example", 99, "10.1.0.1", true));
  EXPECT_EQ(sent.size(), 2u) << "with EDNS it is another question";
  give(0);
  ASSERT_EQ(replies.size(), 10u);
  EXPECT_EQ(read_name(replies[0].bytes, 12), "SLOW.example");
  EXPECT_EQ(read_name(replies[1].bytes, 12), "slow.example");
}

TEST_F(ForwardTest, ServfailAndRefusedGoOnNxdomainIsFinal) {
  servers({"192.0.2.1", "192.0.2.2"});
  table.submit(now, request("a.example"));
  give(0, kServFail);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[1].server, "192.0.2.2");
  give(1);
  EXPECT_EQ(replies.at(0).rcode(), kNoError);
  table.submit(now, request("b.example"));
  give(2, kRefused);
  give(3, kServFail);
  EXPECT_EQ(replies.at(1).rcode(), kServFail);
  table.submit(now, request("c.example"));
  give(4, kNxDomain);
  EXPECT_EQ(replies.at(2).rcode(), kNxDomain);
  EXPECT_EQ(sent.size(), 5u);
}

TEST_F(ForwardTest, ASilentResolverCostsOneWaitAndIsThenPassedOver) {
  servers({"192.0.2.1", "192.0.2.2"});
  table.submit(now, request("a.example"));
  run_to(now + 899);
  EXPECT_EQ(sent.size(), 1u);
  run_to(now + 2);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[1].server, "192.0.2.2");
  give(1);
  ASSERT_EQ(replies.size(), 1u);
  table.submit(now, request("b.example"));
  EXPECT_EQ(sent.at(2).server, "192.0.2.2");
  give(2);
  run_to(now + 11000);
  table.submit(now, request("c.example"));
  ASSERT_EQ(sent.size(), 5u) << "a probe goes along";
  EXPECT_EQ(sent[3].server, "192.0.2.1");
  give(4);
  EXPECT_EQ(replies.size(), 3u) << "nobody waits for the probe";
  table.submit(now, request("d.example"));
  EXPECT_EQ(sent.back().server, "192.0.2.2");
  give(5);
  EXPECT_FALSE(cancelled.count(sent[3].attempt)) << "its answer may come later than the other's";
  give(3);
  EXPECT_EQ(replies.size(), 4u);
  table.submit(now, request("e.example"));
  EXPECT_EQ(sent.back().server, "192.0.2.1") << "good again, and first again";
}

TEST_F(ForwardTest, OneSilentNameDoesNotBlackenAResolverThatAnswersOthers) {
  servers({"192.0.2.1", "192.0.2.2"});
  table.submit(now, request("silent.example"));
  run_to(now + 500);
  table.submit(now, request("good.example"));
  give(1);
  run_to(now + 500);
  table.submit(now, request("next.example"));
  EXPECT_EQ(sent.back().server, "192.0.2.1");
}

TEST_F(ForwardTest, AllSilentIsServfailWithinTheBudgetAndRememberedAWhile) {
  servers({"192.0.2.1"});
  table.submit(now, request("a.example"));
  Millis start = now;
  run_to(start + ForwardTable::kBudget - 1);
  EXPECT_EQ(replies.size(), 0u);
  run_to(start + ForwardTable::kBudget);
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_EQ(replies[0].rcode(), kServFail);
  EXPECT_EQ(sent.size(), 3u);
  run_to(now + 1000);
  table.submit(now, request("a.example"));
  EXPECT_EQ(replies.size(), 2u);
  EXPECT_EQ(sent.size(), 3u);
  run_to(now + 1000);
  table.submit(now, request("a.example"));
  EXPECT_EQ(sent.size(), 4u);
}

TEST_F(ForwardTest, ForgeriesAreIgnoredAndTheRightAnswerStillCounts) {
  servers({"192.0.2.1", "192.0.2.2"});
  table.submit(now, request("a.example"));
  auto forged = [&](size_t at, uint8_t flip) {
    Bytes bad = answer(sent[0]);
    bad[at] ^= flip;
    table.on_answer(now, sent[0].attempt, bad.data(), bad.size());
  };
  forged(0, 1);     // id
  forged(2, 0x80);  // a query, not an answer
  forged(13, 1);    // another name
  forged(23, 1);    // another type
  forged(25, 2);    // another class
  table.on_answer(now, sent[0].attempt, sent[0].bytes.data(), 5);
  EXPECT_EQ(replies.size(), 0u);
  EXPECT_EQ(sent.size(), 1u);
  give(0);
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_EQ(replies[0].rcode(), kNoError);
}

TEST_F(ForwardTest, UnreadableAnswersAndUnreachableResolversGoToTheNext) {
  servers({"192.0.2.1", "192.0.2.2", "192.0.2.3"});
  unreachable = {"192.0.2.1"};
  table.submit(now, request("a.example"));
  ASSERT_EQ(sent.size(), 1u);
  Bytes cut = answer(sent[0]);
  cut.pop_back();
  table.on_answer(now, sent[0].attempt, cut.data(), cut.size());
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[1].server, "192.0.2.3");
  table.on_error(now, sent[1].attempt);
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_EQ(replies[0].rcode(), kServFail);
}

TEST_F(ForwardTest, NoResolversIsServfailAtOnce) {
  servers({});
  table.submit(now, request("a.example"));
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_EQ(replies[0].rcode(), kServFail);
}

TEST_F(ForwardTest, AFloodLosesItsOwnOldestAndStarvesNobody) {
  servers({"192.0.2.1"});
  for (uint64_t i = 0; i < 50; i++) table.submit(now, request("slow" + std::to_string(i) + ".example", i, "10.1.0.1"));
  EXPECT_EQ(table.in_flight(), 8u);
  EXPECT_EQ(replies.size(), 42u) << "every displaced question is answered at once";
  EXPECT_EQ(replies[0].channel, 0u);
  table.submit(now, request("good.example", 777, "10.1.0.2"));
  for (uint64_t i = 50; i < 100; i++)
    table.submit(now, request("slow" + std::to_string(i) + ".example", i, "10.1.0.1"));
  size_t good = 50;
  ASSERT_EQ(read_name(sent[good].bytes, 12), "good.example");
  replies.clear();
  give(good);
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_EQ(replies[0].channel, 777u);
  EXPECT_EQ(replies[0].rcode(), kNoError);
}

TEST_F(ForwardTest, WaitersForOneNameAreBoundedToo) {
  servers({"192.0.2.1"});
  for (uint64_t i = 0; i < 100; i++) table.submit(now, request("slow.example", i));
  EXPECT_EQ(table.waiting(), 20u);
  EXPECT_EQ(sent.size(), 1u);
  EXPECT_EQ(replies.size(), 80u);
  give(0);
  EXPECT_EQ(replies.size(), 100u);
}

TEST_F(ForwardTest, LargeAnswersAreCutForWhoCannotTakeThem) {
  servers({"192.0.2.1"});
  table.submit(now, request("big.example"));
  Bytes big = answer(sent[0]);
  Bytes record(big.end() - 16, big.end());
  for (int i = 1; i < 100; i++) big.insert(big.end(), record.begin(), record.end());
  big[7] = 100;
  table.on_answer(now, sent[0].attempt, big.data(), big.size());
  Answer a;
  a.bytes = replies.at(0).bytes;
  read_answer(a);
  EXPECT_TRUE(a.tc);
  EXPECT_LE(a.bytes.size(), 512u);
  table.submit(now, request("big.example", 2, "10.1.0.1", false, true));
  EXPECT_TRUE(sent[1].tcp);
  put16(big.data(), sent[1].id());
  table.on_answer(now, sent[1].attempt, big.data(), big.size());
  Answer whole;
  whole.bytes = replies.at(1).bytes;
  read_answer(whole);
  EXPECT_EQ(whole.answers.size(), 100u);
}

TEST_F(ForwardTest, UpstreamOptionsAndWhatFollowsThemStayHere) {
  servers({"192.0.2.1"});
  table.submit(now, request("a.example"));
  Bytes with = answer(sent[0]);
  with[11] = 2;
  for (int b : {0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8})
    with.push_back(static_cast<uint8_t>(b));
  for (int b : {0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 0, 0, 1, 0}) with.push_back(static_cast<uint8_t>(b));
  table.on_answer(now, sent[0].attempt, with.data(), with.size());
  Answer a;
  a.bytes = replies.at(0).bytes;
  read_answer(a);
  EXPECT_EQ(a.answers.size(), 1u);
  EXPECT_EQ(a.additional, 0u);
}

TEST_F(ForwardTest, MutatedAnswersNeverGiveABrokenReply) {
  servers({"192.0.2.1", "192.0.2.2"});
  std::mt19937 random(3);
  for (int i = 0; i < 20000; i++) {
    sent.clear();
    replies.clear();
    table.submit(now, request("n" + std::to_string(i) + ".example", 1, "10.1.0.1", i & 1));
    Bytes bad = answer(sent[0]);
    for (unsigned flips = random() % 4; flips > 0; flips--)
      bad[2 + random() % (bad.size() - 2)] = static_cast<uint8_t>(random());
    if (random() % 4 == 0) bad.resize(random() % (bad.size() + 1));
    Bytes exact(bad);
    table.on_answer(now, sent[0].attempt, exact.data(), exact.size());
    run_to(now + 5000);
    ASSERT_EQ(replies.size(), 1u);
    Answer a;
    a.bytes = replies[0].bytes;
    read_answer(a);
    if (HasFailure()) FAIL() << "round " << i;
  }
  EXPECT_EQ(table.in_flight(), 0u);
}

}  // namespace
}  // namespace fairlead::dns
