#include "cluster/preflight.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cluster/preflight_probe.h"

namespace fairlead::cluster {
namespace {

using Finding = PreflightFinding;

PreflightResult all_pass() {
  PreflightPorts ports;
  ports.vxlan = {4789};
  ports.wireguard = 4792;
  PreflightResult r;
  r.self = "n3";
  r.peer = "n1";
  r.own = r.seen = *Address::parse("192.0.2.3");
  for (PreflightWay* way : {&r.out, &r.in}) {
    way->ports = ports;
    way->heard = {4789, 4792, 4793};
    way->esp = true;
    way->mtu = way->passes = way->told = 1500;
  }
  r.out.from = r.in.to = "n3";
  r.out.to = r.in.from = "n1";
  return r;
}

// The texts of what is missing, with their subject.
std::vector<std::string> missing(const PreflightResult& r) {
  std::vector<std::string> texts;
  for (const auto& f : findings_of(r))
    if (f.state == Finding::kMissing) texts.push_back(f.what + ": " + f.text);
  return texts;
}

std::string text_of(const PreflightResult& r, const std::string& what) {
  std::string text;
  for (const auto& f : findings_of(r))
    if (f.what == what) text += (text.empty() ? "" : "\n") + f.text;
  return text;
}

using Texts = std::vector<std::string>;

TEST(Preflight, SaysOfEachThingThatItPasses) {
  std::string all;
  for (const auto& f : findings_of(all_pass())) all += f.what + ": " + f.text + "\n";
  EXPECT_EQ(all,
            "clock: 0.0 s apart\nVXLAN: UDP 4789 passes\nIPsec: protocol 50 passes\nIPsec in UDP: UDP 4793 passes\n"
            "WireGuard: UDP 4792 passes\nMTU: 1500 passes\n");
}

TEST(Preflight, NamesWhatIsMissingInWhichDirectionAndNothingElse) {
  auto r = all_pass();
  r.out.heard.erase(4789);
  EXPECT_EQ(missing(r),
            Texts{"VXLAN: UDP 4789 does not pass from n3 to n1: open it, networks without encryption use it"});
  r = all_pass();
  r.in.heard.erase(4792);
  EXPECT_EQ(
      missing(r),
      Texts{"WireGuard: UDP 4792 does not pass from n1 to n3: open it, networks with encryption wireguard use it"});
  r = all_pass();
  r.in.heard.erase(4793);
  r.out.heard.erase(4793);
  EXPECT_EQ(
      missing(r),
      Texts{"IPsec in UDP: UDP 4793 does not pass in either direction: open it, it is used where protocol 50 does not "
            "pass"});
}

TEST(Preflight, SaysWhatHappensWithoutProtocol50) {
  auto r = all_pass();
  r.out.esp = false;
  EXPECT_EQ(missing(r),
            Texts{"IPsec: protocol 50 does not pass from n3 to n1: networks with encryption ipsec use UDP 4793"});
  r.in.heard.erase(4793);
  EXPECT_EQ(
      text_of(r, "IPsec"),
      "protocol 50 does not pass from n3 to n1: open it or UDP 4793, networks with encryption ipsec need one of them");
}

TEST(Preflight, KnowsPortsOfOneSideOnly) {
  auto r = all_pass();
  r.in.ports.vxlan = {4789, 8472};
  r.out.ports.wireguard = 51820;
  r.out.heard = {4789, 4793, 51820};
  EXPECT_EQ(missing(r),
            Texts{"VXLAN: UDP 8472 does not pass from n1 to n3: open it, networks without encryption use it"});
  EXPECT_EQ(text_of(r, "WireGuard"), "UDP 51820 of n1, 4792 of n3 pass");
  r.in.heard.erase(4792);
  EXPECT_EQ(text_of(r, "WireGuard"),
            "UDP 4792 does not pass from n1 to n3: open it, networks with encryption wireguard use it");
}

TEST(Preflight, NamesAClockWithAmountAndSign) {
  auto r = all_pass();
  r.clock_ms = 1900;
  EXPECT_EQ(text_of(r, "clock"), "1.9 s apart");
  EXPECT_TRUE(missing(r).empty());
  r.clock_ms = 600040;
  EXPECT_EQ(missing(r), Texts{"clock: this node's is 600.0 s ahead of n1's: let both follow a time server"});
  r.clock_ms = -12340;
  EXPECT_EQ(missing(r), Texts{"clock: this node's is 12.3 s behind n1's: let both follow a time server"});
  r.clock_ms = -5000;
  r.clock_error_ms = 4000;  // a slow answer: it may have been that
  EXPECT_TRUE(missing(r).empty());
}

TEST(Preflight, TellsANarrowWayFromOneOfWhichTheSenderKnows) {
  auto r = all_pass();
  r.in.passes = 1400;
  EXPECT_EQ(missing(r), Texts{"MTU: only 1400 of 1500 pass from n1 to n3: lower the link's MTU or let ICMP through"});
  EXPECT_EQ(
      text_of(r, "MTU"),
      "only 1400 of 1500 pass from n1 to n3: lower the link's MTU or let ICMP through\n1500 passes from n3 to n1");
  r.in.told = 1400;
  EXPECT_TRUE(missing(r).empty());
  r.in.told = 1500;
  r.in.passes = 60;
  EXPECT_EQ(missing(r), Texts{"MTU: not even 1280 of 1500 pass from n1 to n3: the way between nodes must carry that"});
}

TEST(Preflight, SaysThatASizeIsUnknownWhereNoUdpPasses) {
  auto r = all_pass();
  r.out.heard.clear();
  r.out.passes = 0;
  EXPECT_EQ(text_of(r, "MTU"), "not known from n3 to n1: no UDP passes\n1500 passes from n1 to n3");
  EXPECT_EQ(missing(r).size(), 3u);  // the three ports
}

TEST(Preflight, NamesTranslatedAddresses) {
  auto r = all_pass();
  r.seen = *Address::parse("198.51.100.7");
  EXPECT_EQ(missing(r), Texts{"address: n1 sees this node as 198.51.100.7, not as 192.0.2.3: nothing may translate "
                              "addresses between nodes"});
}

TEST(Preflight, TakesOnlyPortsFromAPeer) {
  PreflightPorts ports;
  ports.vxlan = {4789, 8472};
  ports.wireguard = 4792;
  auto again = ports_at({{"ports", to_json(ports)}});
  ASSERT_TRUE(again);
  EXPECT_EQ(again->all(), (std::vector<uint16_t>{4789, 4792, 4793, 8472}));
  for (const char* text :
       {R"({})", R"({"ports":[]})", R"({"ports":{"vxlan":[0],"ipsec":1,"wireguard":1}})",
        R"({"ports":{"vxlan":[65536],"ipsec":1,"wireguard":1}})",
        R"({"ports":{"vxlan":["1"],"ipsec":1,"wireguard":1}})", R"({"ports":{"vxlan":[1],"ipsec":-1,"wireguard":1}})",
        R"({"ports":{"vxlan":[1],"ipsec":1,"wireguard":70000}})",
        R"({"ports":{"vxlan":[1,2,3,4,5,6,7,8,9],"ipsec":1,"wireguard":1}})"})
    EXPECT_FALSE(ports_at(Json::parse(text))) << text;
}

TEST(Preflight, AsksForThePortsOfTheDocumentsOfThisNode) {
  char folder[] = "/tmp/fairlead-preflight-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  Paths paths;
  paths.state = folder;
  paths.run = paths.state + "/run";
  EXPECT_EQ(preflight_ports(paths, "n1")->all(), (std::vector<uint16_t>{4789, 4792, 4793}));
  auto write = [&](const std::string& file, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    std::ofstream(file) << text;
  };
  write(paths.state + "/node.json", R"({"apiVersion":1,"ipsecUdpPort":4900})");
  write(paths.nodes() + "/n1.json",
        R"({"apiVersion":1,"name":"n1","number":1,"address":"192.0.2.1","wireguardPort":5000})");
  write(paths.networks() + "/a.json",
        R"({"apiVersion":1,"name":"a","vni":1,"subnets":["10.0.0.0/24"],"vxlanPort":8472})");
  write(paths.networks() + "/b.json",
        R"({"apiVersion":1,"name":"b","vni":2,"subnets":["10.0.1.0/24"],"encryption":"ipsec","vxlanPort":7000})");
  EXPECT_EQ(preflight_ports(paths, "n1")->all(), (std::vector<uint16_t>{4789, 4900, 5000, 8472}));
  std::filesystem::remove_all(folder);
}

TEST(Preflight, TriesSizesFromTheSmallestToJustBelowTheLinks) {
  auto sizes = sizes_below(1500);
  EXPECT_EQ(sizes.front(), 1280u);
  EXPECT_EQ(sizes.back(), 1496u);
  EXPECT_EQ(sizes.size(), 55u);
  EXPECT_LT(sizes_below(kLargestMtu).size(), 150u);
  EXPECT_TRUE(sizes_below(1280).empty());
}

}  // namespace
}  // namespace fairlead::cluster
