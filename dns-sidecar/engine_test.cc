#include "dns-sidecar/engine.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "dns-sidecar/testing.h"

namespace fairlead::dns {
namespace {

using namespace testing;
using Strings = std::vector<std::string>;

class EngineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    builder_.set_network("net1", network("net1", {"10.1.0.0/16", "fd01::/64"}));
    builder_.set_network("closed", network("closed", {"10.9.0.0/12"}, true));
    auto web = service("net1", "web", {"10.1.255.1", "fd01::ffff:1"});
    web->ports = {{"tcp", 80, 8080, 0, "ingress", "http"}};
    builder_.set_service("net1", "web", web);
    auto rr = service("net1", "rr", {});
    rr->ports = {{"udp", 53, 5353, 0, "ingress"}};
    builder_.set_service("net1", "rr", rr);
    builder_.set_service("net1", "idle", service("net1", "idle", {}));
    put(builder_, endpoint("net1", "client", {"10.1.0.1", "fd01::1"}));
    for (int i = 2; i <= 4; i++)
      put(builder_, endpoint("net1", "r" + std::to_string(i), {"10.1.0." + std::to_string(i)},
                             {"rr-" + std::to_string(i)}, {"rr"}));
    for (int i = 0; i < 60; i++) {
      auto e = endpoint("net1", "b" + std::to_string(i), {"10.1.1." + std::to_string(i)});
      e->aliases = {"big"};
      put(builder_, e);
    }
    put(builder_, endpoint("closed", "locked", {"10.9.0.1"}, {"locked"}));
    snapshot_ = builder_.publish();
  }
  Answer query(const Bytes& bytes, const std::string& source = "10.1.0.1", bool tcp = false) {
    return decide(*snapshot_, builder_.slot("net1"), source, bytes, tcp);
  }
  Answer query(const std::string& name, uint16_t type) { return query(ask(name, type)); }
  Answer locked(const std::string& name, uint16_t type) {
    return decide(*snapshot_, builder_.slot("closed"), "10.9.0.1", ask(name, type));
  }

  ZoneBuilder builder_;
  std::shared_ptr<const Snapshot> snapshot_;
};

TEST_F(EngineTest, AnswersAreAuthoritativeAndRepeatTheQuestionByteForByte) {
  Bytes q = ask("WeB.nEt1", kTypeA);
  Answer a = query(q);
  EXPECT_EQ(a.answers, Strings{"10.1.255.1"});
  EXPECT_TRUE(a.aa);
  EXPECT_TRUE(std::equal(q.begin() + 12, q.end(), a.bytes.begin() + 12));
  EXPECT_EQ(get16(&a.bytes[0]), 0x1234);
  EXPECT_EQ(get16(&a.bytes[2]), kFlagQr | kFlagAa | kFlagRd | kFlagRa);
  EXPECT_EQ(query("web", kTypeAaaa).answers, Strings{"fd01::ffff:1"});
  EXPECT_EQ(a.additional, 0u) << "no OPT unless asked";
  EXPECT_EQ(query(ask("web", kTypeA, true)).additional, 1u);
}

TEST_F(EngineTest, OtherTypesOfALocalNameAreNoDataWithAnSoa) {
  for (uint16_t type : {2, 5, 6, 15, 16, 33, 64, 65, 257, 65280}) {
    Answer a = query("rr-2", type);
    EXPECT_EQ(a.decision.verdict, Verdict::kAnswer) << type;
    EXPECT_EQ(a.rcode, kNoError) << type;
    EXPECT_TRUE(a.answers.empty()) << type;
    EXPECT_EQ(a.authority, 1u) << type;
  }
  EXPECT_EQ(query("rr-2", kTypeAaaa).authority, 1u);
  EXPECT_EQ(query("idle", kTypeA).rcode, kNoError);
  EXPECT_EQ(query("idle", kTypeA).authority, 1u);
  EXPECT_EQ(query("rr-2", kTypeAny).answers, Strings{"TYPE13"});
}

TEST_F(EngineTest, NothingUnderTheLocalDomainIsForwarded) {
  for (const char* name : {"no.fairlead.internal", "no.net1.fairlead.internal", "a.web.net1.fairlead.internal",
                           "locked.closed.fairlead.internal", "locked.closed.FAIRLEAD.internal"}) {
    EXPECT_EQ(query(name, kTypeA).rcode, kNxDomain) << name;
    EXPECT_EQ(query(name, kTypeA).authority, 1u) << name;
  }
  EXPECT_EQ(query("nofairlead.internal", kTypeA).decision.verdict, Verdict::kForward);
  for (const char* parent : {"net1.fairlead.internal", "2.net1.fairlead.internal", "_tcp.web.net1.fairlead.internal"}) {
    EXPECT_EQ(query(parent, kTypeA).rcode, kNoError) << parent;
    EXPECT_EQ(query(parent, kTypeA).authority, 1u) << parent;
  }
  EXPECT_EQ(query("fairlead.internal", kTypeSoa).answers, Strings{"TYPE6"});
  EXPECT_EQ(query("fairlead.internal", kTypeNs).answers, Strings{"ns.fairlead.internal"});
  EXPECT_EQ(query("ns.fairlead.internal", kTypeA).answers, Strings{"10.1.0.1"});
}

TEST_F(EngineTest, OwnNamesWithoutTheDomainDoNotLeakEither) {
  for (const char* name : {"a.web.net1", "_x._tcp.web", "_tcp.web", "_80._udp.web.net1", "_tcp.web.net1"})
    EXPECT_EQ(query(name, kTypeSrv).decision.verdict, Verdict::kAnswer) << name;
  EXPECT_EQ(query("_tcp.web.net1", kTypeSrv).rcode, kNoError);
  EXPECT_EQ(query("a.web.net1", kTypeSrv).rcode, kNxDomain);
  // An alias must not hide what is beside or above it in the public tree.
  EXPECT_EQ(query("other.example.com", kTypeA).decision.verdict, Verdict::kForward);
}

TEST_F(EngineTest, ReverseNamesOfLocalSubnetsStayHere) {
  EXPECT_EQ(query("2.0.1.10.in-addr.arpa", kTypePtr).answers, Strings{"rr-2.net1.fairlead.internal"});
  EXPECT_EQ(query("1.255.1.10.in-addr.arpa", kTypePtr).answers, Strings{"web.net1.fairlead.internal"});
  EXPECT_EQ(query("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.d.f.ip6.arpa", kTypePtr).answers,
            Strings{"client.net1.fairlead.internal"});
  EXPECT_EQ(query("99.0.1.10.in-addr.arpa", kTypePtr).rcode, kNxDomain);
  EXPECT_EQ(query("1.0.9.10.in-addr.arpa", kTypePtr).rcode, kNxDomain) << "another network's, and no name";
  EXPECT_EQ(query("0.1.10.in-addr.arpa", kTypePtr).rcode, kNoError);
  EXPECT_EQ(query("x.0.1.10.in-addr.arpa", kTypePtr).rcode, kNxDomain);
  EXPECT_EQ(query("5.2.0.1.10.in-addr.arpa", kTypePtr).rcode, kNxDomain);
  EXPECT_EQ(query("2.0.1.10.in-addr.arpa", kTypeA).rcode, kNoError);
  for (const char* name : {"1.0.168.192.in-addr.arpa", "10.in-addr.arpa", "in-addr.arpa", "300.10.in-addr.arpa",
                           "01.10.in-addr.arpa", "d.f.ip6.arpa", "ip6.arpa"})
    EXPECT_EQ(query(name, kTypePtr).decision.verdict, Verdict::kForward) << name;
}

TEST_F(EngineTest, SrvHasItsOwnTypeAPortAndAnAddressBeside) {
  Answer vip = query("_80._tcp.web", kTypeSrv);
  EXPECT_EQ(vip.answers, Strings{"80 web.net1.fairlead.internal"});
  EXPECT_EQ(vip.additional, 2u);
  EXPECT_EQ(query("_http._tcp.web", kTypeSrv).answers, vip.answers) << "a port with a name";
  Answer rr = query("_53._udp.rr.net1", kTypeSrv);
  EXPECT_EQ(rr.answers, (Strings{"5353 rr-2.net1.fairlead.internal", "5353 rr-3.net1.fairlead.internal",
                                 "5353 rr-4.net1.fairlead.internal"}));
  EXPECT_EQ(rr.additional, 3u);
}

TEST_F(EngineTest, LimitsAreKeptWithWholeRecords) {
  Answer plain = query("big", kTypeA);
  EXPECT_TRUE(plain.tc);
  EXPECT_LE(plain.bytes.size(), 512u);
  EXPECT_GT(plain.answers.size(), 25u);
  Answer edns = query(ask("big", kTypeA, true));
  EXPECT_FALSE(edns.tc);
  EXPECT_EQ(edns.answers.size(), 60u);
  Bytes small = ask("big", kTypeA, true);
  small[small.size() - 8] = 0;
  small[small.size() - 7] = 100;
  EXPECT_GT(query(small).bytes.size(), 400u) << "100 counts as 512";
  Bytes huge = ask("big", kTypeA, true);
  huge[huge.size() - 8] = huge[huge.size() - 7] = 0xff;
  EXPECT_LE(query(huge).bytes.size(), kMaxUdpBytes);
  Answer tcp = query(ask("big", kTypeA), "10.1.0.1", true);
  EXPECT_FALSE(tcp.tc);
  EXPECT_EQ(tcp.answers.size(), 60u);
}

TEST_F(EngineTest, EveryAddressComesFirstAboutEquallyOften) {
  std::map<uint8_t, int> first;
  for (int i = 0; i < 600; i++) {
    Answer a = query("rr", kTypeA);
    ASSERT_EQ(a.answers, (Strings{"10.1.0.2", "10.1.0.3", "10.1.0.4"}));
    first[a.bytes[12 + 8 + 15]]++;
  }
  for (auto& [address, count] : first) EXPECT_TRUE(count > 120 && count < 282) << int{address} << ": " << count;
  EXPECT_EQ(first.size(), 3u);
}

TEST_F(EngineTest, TheSourceAddressDecidesWhoAsks) {
  EXPECT_EQ(query(ask("web", kTypeA), "10.1.77.77").rcode, kRefused);
  EXPECT_EQ(query(ask("web", kTypeA), "10.1.255.1").rcode, kRefused) << "a VIP asks nothing";
  EXPECT_EQ(query(ask("web", kTypeA), "fd01::1").answers, Strings{"10.1.255.1"});
  EXPECT_EQ(decide(*snapshot_, 77, "10.1.0.1", ask("web", kTypeA)).rcode, kRefused);
}

TEST_F(EngineTest, InternalNetworksDoNotForwardUnlessTheContainerHasAnother) {
  EXPECT_EQ(query("example.com", kTypeA).decision.verdict, Verdict::kForward);
  EXPECT_EQ(locked("locked", kTypeA).answers, Strings{"10.9.0.1"});
  EXPECT_EQ(locked("example.com", kTypeA).rcode, kNxDomain);
  EXPECT_EQ(locked("1.0.168.192.in-addr.arpa", kTypePtr).rcode, kNxDomain);
  auto second = endpoint("net1", "locked", {"10.1.0.50"});
  second->ifname = "eth1";
  put(builder_, second);
  snapshot_ = builder_.publish();
  Answer both = locked("example.com", kTypeA);
  EXPECT_EQ(both.decision.verdict, Verdict::kForward);
  EXPECT_EQ(both.decision.forward_network, builder_.slot("net1"));
  builder_.set_endpoint("net1", second->key(), nullptr);
  snapshot_ = builder_.publish();
  EXPECT_EQ(locked("example.com", kTypeA).rcode, kNxDomain);
}

TEST_F(EngineTest, SingleLabelsAreForwardedUnlessSwitchedOff) {
  EXPECT_EQ(query("printer", kTypeA).decision.verdict, Verdict::kForward);
  auto net = network("net1", {"10.1.0.0/16"});
  net->forward_single_labels = false;
  builder_.set_network("net1", net);
  snapshot_ = builder_.publish();
  EXPECT_EQ(query("printer", kTypeA).rcode, kNxDomain);
  EXPECT_EQ(query("printer.lan", kTypeA).decision.verdict, Verdict::kForward);
}

TEST_F(EngineTest, SpecialNamesAndOddHeadersGetTheirRcodes) {
  EXPECT_EQ(query("localhost", kTypeA).answers, Strings{"127.0.0.1"});
  EXPECT_EQ(query("a.localhost", kTypeAaaa).answers, Strings{"::1"});
  for (const char* name : {"x.invalid", "x.onion", "alt"}) EXPECT_EQ(query(name, kTypeA).rcode, kNxDomain) << name;
  for (uint16_t type : {0, 41, 249, 250, 253, 254, 65535}) EXPECT_EQ(query("web", type).rcode, kNotImp) << type;
  EXPECT_EQ(query("web", kTypeAxfr).rcode, kRefused);
  Bytes chaos = ask("version.bind", 16);
  chaos.back() = 3;
  EXPECT_EQ(query(chaos).rcode, kRefused);
  EXPECT_EQ(query(ask("example.com", kTypeA, false, 0)).rcode, kRefused) << "RD=0";
  Bytes notify = ask("web", kTypeA);
  notify[2] = 4 << 3 | 1;
  Answer a = query(notify);
  EXPECT_EQ(a.rcode, kNotImp);
  EXPECT_EQ(a.bytes[2] >> 3 & 15, 4);
  Bytes version = ask("web", kTypeA, true);
  version[version.size() - 5] = 1;
  a = query(version);
  EXPECT_EQ(a.rcode, 0u);
  EXPECT_EQ(a.bytes[a.bytes.size() - 6], 1) << "BADVERS is 16: one in the OPT's upper bits";
  EXPECT_EQ(a.answers.size(), 0u);
}

// A fixed walk over mutations; the libFuzzer target does the same without end.
TEST_F(EngineTest, MutatedQueriesNeverGiveABrokenAnswer) {
  std::mt19937 random(42);
  const char* names[] = {"web",        "big", "_53._udp.rr.net1", "2.0.1.10.in-addr.arpa", "x.fairlead.internal",
                         "example.com"};
  for (int i = 0; i < 20000; i++) {
    Bytes q = ask(names[random() % 6], random() % 4 ? kTypeA : kTypeSrv, random() % 2);
    for (unsigned flips = random() % 4; flips > 0; flips--) q[random() % q.size()] = static_cast<uint8_t>(random());
    if (random() % 4 == 0) q.resize(random() % (q.size() + 1));
    bool tcp = random() % 2;
    Answer a = query(q, "10.1.0.1", tcp);
    if (HasFailure()) FAIL() << "round " << i;
    EXPECT_LE(a.bytes.size(), tcp ? kMaxTcpBytes : kMaxUdpBytes);
  }
}

}  // namespace
}  // namespace fairlead::dns
