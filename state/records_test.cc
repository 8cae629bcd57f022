#include "state/records.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <nlohmann/json.hpp>

#include "state/paths.h"

namespace fairlead {
namespace {

template <class R>
std::string error_of(Result<R> (*decode)(const Json&, const std::string&), const char* text) {
  auto r = decode(Json::parse(text), "doc.json");
  return r ? "" : r.error().message;
}

TEST(NetworkRecord, ReadsTheDocumentedExampleAndWritesItBackWithUnknownFields) {
  Json json = Json::parse(R"({"apiVersion":1,"name":"appnet","vni":4097,"subnets":["10.32.0.0/16","fd32::/64"],
    "encryption":"ipsec","internal":false,"mtu":0,"future":{"x":1}})");
  auto n = decode_network(json, "networks/appnet.json");
  ASSERT_TRUE(n) << n.error().message;
  EXPECT_EQ(n->gateway(AF_INET)->to_string(), "10.32.0.1");
  EXPECT_EQ(n->gateway(AF_INET6)->to_string(), "fd32::1");
  EXPECT_EQ(n->vip_pool(AF_INET)->to_string(), "10.32.255.0/24");
  EXPECT_EQ(n->vip_pool(AF_INET6)->to_string(), "fd32::ffff:0/112");
  EXPECT_EQ(Json::parse(encode(*n)), json);
}

TEST(NetworkRecord, NamesFileFieldAndExpectation) {
  EXPECT_EQ(error_of(decode_network, R"({"name":"a","vni":0})"),
            "doc.json: /vni: expected a whole number from 1 to 16777215, found 0");
  EXPECT_NE(error_of(decode_network, R"({"name":"../a","vni":1})").find("/name: "), std::string::npos);
  EXPECT_NE(error_of(decode_network, R"({"name":"a","vni":1,"subnets":["10.0.0.1/24"]})").find("host bits"),
            std::string::npos);
  for (const char* bad :
       {R"({"vni":1})", R"({"name":"a"})", R"({"name":"a","vni":1,"subnets":["10.0.0.0/24","10.1.0.0/24"]})",
        R"({"name":"a","vni":1,"subnets":["10.0.0.0/31"]})", R"({"name":"a","vni":1,"mtu":500})",
        R"({"name":"a","vni":1,"encryption":"rot13"})", R"({"name":"a","vni":1,"apiVersion":2})",
        R"({"name":"a","vni":1,"subnets":["0.0.0.0/0"]})", R"({"name":"a","vni":1,"subnets":["10.0.0.0"]})"})
    EXPECT_NE(error_of(decode_network, bad), "") << bad;
}

TEST(NetworkRecord, VipPoolSitsAtTheEndAndSmallSubnetsHaveNone) {
  auto pool = [](const char* subnet) {
    auto p = vip_pool_of(*Prefix::parse(subnet));
    return p ? p->to_string() : "none";
  };
  EXPECT_EQ(pool("10.0.0.0/24"), "10.0.0.240/28");
  EXPECT_EQ(pool("10.0.0.0/8"), "10.255.255.0/24");
  EXPECT_EQ(pool("10.0.0.0/26"), "10.0.0.60/30");
  EXPECT_EQ(pool("10.0.0.0/29"), "none");
  EXPECT_EQ(pool("fd00::/112"), "fd00::f000/116");
}

TEST(ServiceRecord, ReadsTheDocumentedExampleAndRoundTrips) {
  Json json = Json::parse(R"({"apiVersion":1,"network":"appnet","name":"web","vips":["10.32.255.1","fd32::ffff:1"],
   "endpointMode":"vip","ports":[{"protocol":"tcp","port":80,"targetPort":8080,"published":8000,"publishMode":"ingress"}],
   "scheduler":"rr","affinitySeconds":0,"health":{"type":"http","path":"/healthz","port":8080,"interval":"1s",
   "timeout":"500ms","unhealthyAfter":2},"http":[{"host":"web.example.com"}],"drain":"10s","weights":{"web-1":3}})");
  auto s = decode_service(json, "web.json");
  ASSERT_TRUE(s) << s.error().message;
  EXPECT_EQ(s->health->interval_ms, 1000u);
  EXPECT_EQ(s->drain_ms, 10000u);
  EXPECT_EQ(s->weights.at(0).second, 3u);
  json["health"]["healthyAfter"] = 1;
  EXPECT_EQ(Json::parse(encode(*s)), json);
}

TEST(ServiceRecord, RefusesHostileValues) {
  for (const char* bad :
       {R"({"network":"a","name":"b","ports":[{"port":0}]})", R"({"network":"a","name":"b","ports":[{"port":70000}]})",
        R"({"network":"a","name":"b","ports":[{"port":80},{"port":80}]})",
        R"({"network":"a","name":"b","health":{"type":"exec"}})",
        R"({"network":"a","name":"b","health":{"type":"http","path":"/x\r\nHost: y"}})",
        R"j({"network":"a","name":"b","http":[{"host":"$(touch x)"}]})j",
        R"({"network":"a","name":"b","scheduler":"rr; flush ruleset"})",
        R"({"network":"a","name":"b","drain":"10 days"})", R"({"network":"a","name":"b","weights":{"x":-1}})",
        R"({"network":"a","name":"b","endpointMode":"dnsrr","vips":["10.0.0.1"]})"})
    EXPECT_NE(error_of(decode_service, bad), "") << bad;
}

TEST(EndpointRecord, RoundTripsAndRefusesHostileValues) {
  Json json =
      Json::parse(R"({"apiVersion":1,"network":"appnet","container":"3f9c","ifname":"eth0","netns":"/run/netns/x",
   "node":"n1","addresses":["10.32.0.5","fd32::5"],"mac":"02:00:00:00:00:05","names":["web-1"],"aliases":["www"],
   "services":["web"],"labels":{"fairlead.weight":"3"},"state":"ready","hostIfname":"c1","mtu":1450,"ipam":"fairlead-ipam",
   "portMappings":[{"protocol":"tcp","hostPort":8080,"containerPort":80}],"zone":"x","attempt":4,
   "bandwidth":{"ingressRate":1000000,"ingressBurst":4294967295,"egressRate":0,"egressBurst":0}})");
  auto e = decode_endpoint(json, "e.json");
  ASSERT_TRUE(e) << e.error().message;
  EXPECT_EQ(e->weight(), 3u);
  EXPECT_EQ(Json::parse(encode(*e)), json);
  for (const char* bad :
       {R"({"network":"a","container":"../x","ifname":"eth0"})", R"({"network":"a","container":"x","ifname":"a/b"})",
        R"({"network":"a","container":"x","ifname":"eth0","names":["a b"]})",
        R"({"network":"a","container":"x","ifname":"eth0","addresses":["10.0.0.1","10.0.0.2"]})",
        R"({"network":"a","container":"x","ifname":"eth0","state":"zombie"})",
        R"({"network":"a","container":"x","ifname":"eth0","bandwidth":{"ingressRate":1000}})",
        R"({"network":"a","container":"x","ifname":"eth0","bandwidth":{"egressRate":-1,"egressBurst":8}})",
        R"({"network":"a","container":"x","ifname":"eth0","bandwidth":{"egressRate":8,"egressBurst":34359738368}})",
        R"({"network":"a","container":"x","ifname":"eth0","hostIfname":"c1; drop"})"})
    EXPECT_NE(error_of(decode_endpoint, bad), "") << bad;
}

TEST(PortReport, RoundTripsAndNamesWhatIsWrong) {
  Json json = Json::parse(R"({"apiVersion":1,"network":"appnet","attachment":"3f9c-eth0","attempt":7,"answers":false,
   "problem":"taken","later":1})");
  auto report = decode_port_report(json, "p.json");
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->attempt, 7u);
  EXPECT_EQ(Json::parse(encode(*report)), json);
  EXPECT_EQ(error_of(decode_port_report, R"({"network":"appnet"})"), "doc.json: /attachment: is missing");
  EXPECT_NE(error_of(decode_port_report, R"({"network":"a","attachment":"x","answers":"yes"})"), "");
}

TEST(Paths, LongContainerIdsStayBelowTheFileNameLimitAndApart) {
  std::string a(300, 'a'), b = std::string(299, 'a') + "b";
  EXPECT_LT(attachment_key(a, "eth0").size(), 200u);
  EXPECT_NE(attachment_key(a, "eth0"), attachment_key(b, "eth0"));
  EXPECT_EQ(attachment_key("abc", "eth0"), "abc-eth0");
}

}  // namespace
}  // namespace fairlead
