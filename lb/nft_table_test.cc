#include "lb/nft_table.h"

#include <gtest/gtest.h>

#include "lb/test_documents.h"

namespace fairlead::lb {
namespace {

RouterPlan one_service(const std::string& scheduler = "rr", uint32_t affinity = 0,
                       std::vector<uint32_t> weights = {1, 1}) {
  RouterPlan plan;
  plan.network = "appnet";
  plan.gateway4 = ip("10.32.0.1");
  plan.vips = {ip("10.32.255.1")};
  Frontend f{{ip("10.32.255.1"), kTcp, 80}, "web", scheduler, affinity, {}};
  for (unsigned i = 0; i < weights.size(); i++) {
    f.backends.push_back({ip("10.32.0.2").plus(i), 8080, weights[i], "t"});
    plan.hairpin.insert(f.backends.back().address);
  }
  plan.frontends[f.key] = f;
  return plan;
}

const std::string kChain = "f_0a20ff01_tcp_80";

// How often each line stands in a transaction; order is checked where it matters.
size_t position(const std::string& text, const std::string& line) { return ("\n" + text).find("\n" + line); }
bool has(const std::string& text, const std::string& line) { return position(text, line) != std::string::npos; }

TEST(NftTable, RoundRobinCountsConnections) {
  NftTable table = nft_table(one_service());
  EXPECT_EQ(table.chains.at(kChain),
            (std::vector<std::string>{
                "meta l4proto tcp dnat ip to numgen inc mod 2 map { 0 : 10.32.0.2 . 8080, 1 : 10.32.0.3 . 8080 }"}));
  EXPECT_TRUE(table.elements.at("service4").count("10.32.255.1 . tcp . 80 : goto " + kChain));
  EXPECT_TRUE(table.elements.at("hairpin4").count("10.32.0.2 . 10.32.0.2"));
  EXPECT_TRUE(table.elements["refused4"].empty());
}

TEST(NftTable, LB03WeightsBecomeSlotsAndZeroNone) {
  NftTable table = nft_table(one_service("wrr", 0, {3, 1, 0}));
  const std::string& rule = table.chains.at(kChain)[0];
  EXPECT_NE(
      rule.find("mod 4 map { 0 : 10.32.0.2 . 8080, 1 : 10.32.0.2 . 8080, 2 : 10.32.0.3 . 8080, 3 : 10.32.0.2 . 8080 }"),
      std::string::npos)
      << rule;
  EXPECT_EQ(rule.find("10.32.0.4"), std::string::npos);
}

TEST(NftTable, LB26WithoutAUsableBackendTheFrontendIsRefused) {
  for (const auto& weights : {std::vector<uint32_t>{}, std::vector<uint32_t>{0, 0}}) {
    NftTable table = nft_table(one_service("rr", 0, weights));
    EXPECT_TRUE(table.chains.empty());
    EXPECT_TRUE(table.elements["service4"].empty());
    EXPECT_TRUE(table.elements.at("refused4").count("10.32.255.1 . tcp . 80"));
  }
}

TEST(NftTable, OneBackendNeedsNoCounting) {
  EXPECT_EQ(nft_table(one_service("rr", 0, {1})).chains.at(kChain)[0], "meta l4proto tcp dnat ip to 10.32.0.2:8080");
}

TEST(NftTable, LB09And12AffinityLeadsToServingBackendsOnly) {
  NftTable table = nft_table(one_service("rr", 10, {1, 0, 1}));
  EXPECT_EQ(table.affinity.count("a_0a20ff01_tcp_80"), 1u);
  ASSERT_EQ(table.chains.at(kChain).size(), 4u);
  EXPECT_EQ(table.chains.at(kChain)[0], "meta mark set ip saddr map @a_0a20ff01_tcp_80");
  EXPECT_EQ(table.chains.at(kChain)[1].find("10.32.0.3"), std::string::npos);
  EXPECT_EQ(table.chains.size(), 3u);  // a draining backend has no chain
  const auto& backend = table.chains.at("b_0a20ff01_tcp_80_0a200002_8080");
  EXPECT_NE(backend[0].find("timeout 10s"), std::string::npos);
  EXPECT_EQ(backend[1], "meta mark set 0 meta l4proto tcp dnat ip to 10.32.0.2:8080");
}

TEST(NftTable, ABackendsNumberInTheAffinityMapIsItsOwn) {
  auto rule = [](std::vector<uint32_t> weights) { return nft_table(one_service("rr", 10, weights)).chains; };
  auto three = rule({1, 1, 1}), two = rule({0, 1, 1});
  EXPECT_EQ(three.at("b_0a20ff01_tcp_80_0a200003_8080"), two.at("b_0a20ff01_tcp_80_0a200003_8080"));
}

TEST(NftTable, LB05SchedulersOnlyIpvsHasAreRefusedWithTheReason) {
  Frontend f;
  for (const char* good : {"rr", "wrr", "lc", "wlc", "sh", "mh"}) {
    f.scheduler = good;
    EXPECT_EQ(nft_problem(f), "") << good;
  }
  for (const char* bad : {"lblc", "lblcr", "dh", "sed", "nq", "fo", "ovf"}) {
    f.scheduler = bad;
    EXPECT_NE(nft_problem(f).find("needs the ipvs balancer"), std::string::npos) << bad;
  }
}

TEST(NftTable, LB04LoadSlotsTakeTheKernelsPlace) {
  RouterPlan plan = one_service("lc");
  NftTable table = nft_table(plan, {{plan.frontends.begin()->first, {1, 1, 0}}});
  EXPECT_NE(table.chains.at(kChain)[0].find("mod 3 map { 0 : 10.32.0.3 . 8080, 1 : 10.32.0.3 . 8080, 2 : 10.32.0.2"),
            std::string::npos);
}

TEST(NftTransaction, OfTheSameIsNothing) {
  NftTable table = nft_table(one_service());
  EXPECT_EQ(nft_transaction(&table, table), "");
}

TEST(NftTransaction, OfAWeightEditTouchesOneChainOnly) {
  NftTable from = nft_table(one_service("wrr", 0, {1, 1})), to = nft_table(one_service("wrr", 0, {3, 1}));
  std::string text = nft_transaction(&from, to);
  EXPECT_EQ(text.find("flush chain inet fairlead_lb " + kChain + "\nadd rule inet fairlead_lb " + kChain), 0u) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
}

TEST(NftTransaction, FromNothingMakesWhatIsReferredToFirst) {
  std::string text = nft_transaction(nullptr, nft_table(one_service("rr", 10)));
  EXPECT_LT(position(text, "add map inet fairlead_lb a_"), position(text, "add rule inet fairlead_lb f_"));
  EXPECT_LT(position(text, "add chain inet fairlead_lb b_"), position(text, "add rule inet fairlead_lb f_"));
  EXPECT_LT(position(text, "add rule inet fairlead_lb f_"), position(text, "add element inet fairlead_lb service4"));
  EXPECT_FALSE(has(text, "delete"));
}

TEST(NftTransaction, FromTheUnknownKeepsAffinityAndRemovesLeftovers) {
  NftTable to = nft_table(one_service("rr", 10));
  NftLeftovers left{
      {"prerouting", "f_gone", "b_gone", kChain}, {"old_set"}, {"service4", "a_gone", "a_0a20ff01_tcp_80"}};
  std::string text = nft_transaction(nullptr, to, left);
  EXPECT_TRUE(has(text, "flush map inet fairlead_lb service4"));
  EXPECT_TRUE(has(text, "delete chain inet fairlead_lb f_gone"));
  EXPECT_TRUE(has(text, "delete chain inet fairlead_lb b_gone"));
  EXPECT_TRUE(has(text, "delete map inet fairlead_lb a_gone"));
  EXPECT_TRUE(has(text, "delete set inet fairlead_lb old_set"));
  EXPECT_FALSE(has(text, "delete chain inet fairlead_lb prerouting"));
  EXPECT_FALSE(has(text, "delete map inet fairlead_lb a_0a20ff01_tcp_80"));
  EXPECT_FALSE(has(text, "flush map inet fairlead_lb a_"));
  EXPECT_LT(position(text, "flush map inet fairlead_lb service4"),
            position(text, "delete chain inet fairlead_lb f_gone"));
}

TEST(NftTransaction, WhenTheLastBackendGoesTheFrontendTurnsToRefusal) {
  NftTable from = nft_table(one_service()), to = nft_table(one_service("rr", 0, {}));
  std::string text = nft_transaction(&from, to);
  EXPECT_TRUE(has(text, "delete element inet fairlead_lb service4 { 10.32.255.1 . tcp . 80 }"));
  EXPECT_TRUE(has(text, "add element inet fairlead_lb refused4 { 10.32.255.1 . tcp . 80 }"));
  EXPECT_LT(position(text, "delete element"), position(text, "delete chain"));
}

TEST(NftTransaction, FromBalancingToHairpinOnlyRemovesTheOtherChains) {
  NftTable from = nft_table(one_service()), to = nft_hairpin_table(one_service());
  std::string text = nft_transaction(&from, to);
  for (const char* chain : {"prerouting", "output", "input", "refuse", kChain.c_str()})
    EXPECT_TRUE(has(text, std::string("delete chain inet fairlead_lb ") + chain)) << chain;
  EXPECT_TRUE(has(text, "delete set inet fairlead_lb refused4"));
  EXPECT_TRUE(has(text, "delete map inet fairlead_lb service6"));
  EXPECT_FALSE(has(text, "delete chain inet fairlead_lb postrouting"));
}

TEST(NftHostTable, LB39PublishedPortsAreLookedUpForLocalDestinationsOnly) {
  HostPlan plan;
  plan.ports[{AF_INET, {}, kTcp, 8000}] = {ip("169.254.64.3"), 8000};
  plan.ports[{AF_INET6, {}, kUdp, 53}] = {ip("fd57:64:1::2"), 53};
  plan.ports[{AF_INET, ip("192.0.2.1"), kTcp, 80}] = {ip("169.254.64.3"), 40080};
  NftTable table = nft_host_table(plan);
  EXPECT_TRUE(table.elements.at("port4").count("tcp . 8000 : 169.254.64.3 . 8000"));
  EXPECT_TRUE(table.elements.at("port6").count("udp . 53 : fd57:64:1::2 . 53"));
  EXPECT_TRUE(table.elements.at("address_port4").count("192.0.2.1 . tcp . 80 : 169.254.64.3 . 40080"));
  for (const char* hook : {"prerouting", "output"}) EXPECT_EQ(table.base.at(hook)[1].find("fib daddr type local"), 0u);
}

TEST(NftHostTable, APortThatMovesIsReplacedInOneTransaction) {
  HostPlan plan;
  plan.ports[{AF_INET, {}, kTcp, 8000}] = {ip("169.254.64.3"), 8000};
  NftTable from = nft_host_table(plan);
  plan.ports[{AF_INET, {}, kTcp, 8000}] = {ip("169.254.64.5"), 8000};
  std::string text = nft_transaction(&from, nft_host_table(plan));
  EXPECT_EQ(text,
            "delete element inet fairlead_lb port4 { tcp . 8000 }\n"
            "add element inet fairlead_lb port4 { tcp . 8000 : 169.254.64.5 . 8000 }\n");
}

}  // namespace
}  // namespace fairlead::lb
