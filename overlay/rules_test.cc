// The rulesets as text, against files beside this one: every change of a rule is seen in a review as a change of rules.
// FAIRLEAD_UPDATE_GOLDEN=1 writes the files anew.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "overlay/host_rules.h"
#include "overlay/names.h"
#include "overlay/router_rules.h"
#include "overlay/tunnel_rules.h"

namespace fairlead::overlay {
namespace {

// Not from __FILE__: a compiler cache may make that relative.
std::string golden_file(const std::string& name) { return FAIRLEAD_TESTDATA "/" + name; }

void expect_golden(const std::string& name, const std::string& text) {
  const std::string path = golden_file(name);
  if (std::getenv("FAIRLEAD_UPDATE_GOLDEN")) std::ofstream(path) << text;
  std::ifstream file(path);
  ASSERT_TRUE(file) << path;
  std::stringstream wanted;
  wanted << file.rdbuf();
  EXPECT_EQ(text, wanted.str()) << path;
}

Network network(std::vector<std::string> subnets, bool internal = false) {
  Network n;
  n.name = "appnet";
  n.vni = 4097;
  n.internal = internal;
  for (const auto& text : subnets) n.subnets.push_back(*Prefix::parse(text));
  return n;
}

std::string rules_of(const Network& n) { return router_rules(n, make_router(n, 3, 1450)); }

TEST(RouterRules, OfADualStackNetwork) {
  expect_golden("router_dual_stack.nft", rules_of(network({"10.32.0.0/16", "fd32::/64"})));
}
TEST(RouterRules, OfAnInternalNetwork) {
  expect_golden("router_internal.nft", rules_of(network({"10.32.0.0/16", "fd32::/64"}, true)));
}
TEST(RouterRules, OfAnIpv4NetworkSayNothingOfIpv6Addresses) {
  expect_golden("router_ipv4.nft", rules_of(network({"10.32.0.0/24"})));
  EXPECT_EQ(rules_of(network({"10.32.0.0/24"})).find("ip6 "), std::string::npos);
}
TEST(RouterRules, OfANetworkWhoseAddressesAreAnotherIpamsBusiness) {
  expect_golden("router_no_subnets.nft", rules_of(network({})));
}
TEST(RouterRules, OfASmallNetworkWithoutAVipPool) {
  EXPECT_EQ(rules_of(network({"10.32.0.0/29"})).find("services"), std::string::npos);
}

TEST(RouterRules, BetweenNodes) {
  auto n = network({"10.32.0.0/16", "fd32::/64"});
  Mesh mesh{1, *Address::parse("192.0.2.1"), {}, true, {}};
  auto text = router_rules(n, make_router(n, 3, 1450), &mesh);
  EXPECT_NE(text.find("iifname \"vx\" counter drop"), std::string::npos) << "nobody else is there";
  mesh.peers = {{"n2", 2, *Address::parse("192.0.2.2"), {}}, {"n3", 300, *Address::parse("192.0.2.3"), {}}};
  expect_golden("router_mesh.nft", router_rules(n, make_router(n, 3, 1450), &mesh));
}

TEST(HostRules, OfANodeOfACluster) {
  HostRuleFacts facts;
  facts.nodes = {*Address::parse("192.0.2.1"), *Address::parse("192.0.2.2")};
  facts.vnis = {4097, 4098};
  facts.ports = {8472};
  expect_golden("host_cluster.nft", host_rules(facts));
}
TEST(HostRules, OfANodeWithNetworksThatWireguardProtects) {
  HostRuleFacts facts;
  facts.nodes = {*Address::parse("192.0.2.1"), *Address::parse("192.0.2.2")};
  facts.vnis = {4097};
  facts.wireguard_ports = {4791, 8472, 4791};
  expect_golden("host_wireguard.nft", host_rules(facts));
}
TEST(HostRules, OfANodeWithEncryptedNetworks) {
  HostRuleFacts facts;
  facts.nodes = {*Address::parse("192.0.2.1"), *Address::parse("192.0.2.2")};
  facts.vnis = {4097};
  facts.ipsec_ports = {4790, 7000};
  expect_golden("host_ipsec.nft", host_rules(facts));
}
TEST(QuoteRules, KeepErrorsAboutWhatWasEncryptedIn) { expect_golden("quotes.nft", quote_rules({4790, 7000})); }
TEST(HostRules, OfAHostThatForwardedBefore) { expect_golden("host_open.nft", host_rules({})); }
TEST(HostRules, OfAHostThatDidNotForwardDropWhatIsNotOursNorThroughABridge) {
  expect_golden("host_closed.nft", host_rules({true, true}));
  EXPECT_EQ(host_rules({true, false}).find("nfproto ipv6"), std::string::npos);
  EXPECT_EQ(host_rules({false, true}).find("nfproto ipv4"), std::string::npos);
}

}  // namespace
}  // namespace fairlead::overlay
