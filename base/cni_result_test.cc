#include "base/cni_result.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/cni.h"

namespace fairlead::cni {
namespace {

AddResult full() {
  AddResult r;
  r.interfaces = {{"br0", "02:00:00:00:00:01", 1450, "", "", ""},
                  {"eth0", "02:00:00:00:00:02", 1450, "/run/netns/x", "", ""}};
  r.ips = {{*Prefix::parse("10.1.2.3/24"), *Address::parse("10.1.2.1"), 1},
           {*Prefix::parse("10.1.2.4/24"), std::nullopt, 1},
           {*Prefix::parse("fd00::3/64"), *Address::parse("fd00::1"), 1}};
  r.routes = {
      {*Prefix::parse("0.0.0.0/0"), *Address::parse("10.1.2.1"), 1400, std::nullopt, 0, std::nullopt, std::nullopt},
      {*Prefix::parse("::/0"), std::nullopt, std::nullopt, std::nullopt, std::nullopt, std::nullopt, std::nullopt}};
  r.dns = {{"10.1.2.1"}, "d", {"a.b", "c"}, {"ndots:1"}};
  return r;
}

Json as_json(const AddResult& result, std::string_view version) { return Json::parse(*encode(result, version)); }
AddResult decoded(const char* text, const char* version = "1.0.0") {
  return *decode_result(Json::parse(text), version, "t");
}
int code_of(const char* text, const char* version = "1.0.0") {
  auto r = decode_result(Json::parse(text), version, "t");
  return r ? 0 : r.error().code;
}

TEST(EncodeResult, Version020HasTheFirstAddressOfEachFamilyAndItsRoutes) {
  Json j = as_json(full(), "0.2.0");
  EXPECT_EQ(j["cniVersion"], "0.2.0");
  EXPECT_EQ(j["ip4"]["ip"], "10.1.2.3/24");
  EXPECT_EQ(j["ip4"]["gateway"], "10.1.2.1");
  EXPECT_EQ(j["ip4"]["routes"], Json::parse(R"([{"dst":"0.0.0.0/0","gw":"10.1.2.1"}])"));
  EXPECT_EQ(j["ip6"]["routes"], Json::parse(R"([{"dst":"::/0"}])"));
  EXPECT_EQ(j["dns"]["search"], Json::parse(R"(["a.b","c"])"));
  EXPECT_FALSE(j.contains("ips") || j.contains("interfaces") || j.contains("routes"));
}

TEST(EncodeResult, OldVersionsCannotSayNoAddress) {
  EXPECT_FALSE(encode(AddResult{}, "0.1.0"));
  EXPECT_TRUE(encode(AddResult{}, "0.3.0"));
}

TEST(EncodeResult, Versions03And04CarryTheAddressFamilyAsAString) {
  for (const char* v : {"0.3.0", "0.3.1", "0.4.0"}) {
    Json j = as_json(full(), v);
    EXPECT_EQ(j["ips"][0]["version"], "4");
    EXPECT_EQ(j["ips"][2]["version"], "6");
    EXPECT_FALSE(j["interfaces"][1].contains("mtu"));
  }
}

TEST(EncodeResult, OnlyTheNewestVersionHasMtuAndRouteAttributes) {
  Json j = as_json(full(), "1.0.0");
  EXPECT_FALSE(j["ips"][0].contains("version"));
  EXPECT_FALSE(j["interfaces"][0].contains("mtu"));
  EXPECT_FALSE(j["routes"][0].contains("mtu"));
  j = as_json(full(), "1.1.0");
  EXPECT_EQ(j["interfaces"][0]["mtu"], 1450);
  EXPECT_FALSE(j["interfaces"][0].contains("sandbox"));
  EXPECT_EQ(j["interfaces"][1]["sandbox"], "/run/netns/x");
  EXPECT_EQ(j["routes"][0]["mtu"], 1400);
  EXPECT_EQ(j["routes"][0]["priority"], 0) << "set to 0 is not the same as not set";
  EXPECT_FALSE(j["routes"][1].contains("priority"));
}

TEST(DecodeResult, TakesEveryVersionBack) {
  for (const auto& v : supported_versions()) {
    auto back = decode_result(as_json(full(), v), "1.1.0", "t");
    ASSERT_TRUE(back) << v << back.error().msg;
    EXPECT_EQ(back->ips[0].address.to_string(), "10.1.2.3/24") << v;
    EXPECT_EQ(back->ips.size(), version_at_least(v, "0.3.0") ? 3u : 2u) << v;
    EXPECT_EQ(back->routes.size(), 2u) << v;
    EXPECT_EQ(back->dns.nameservers, std::vector<std::string>{"10.1.2.1"}) << v;
    EXPECT_EQ(as_json(*back, v), as_json(full(), v));
  }
}

TEST(DecodeResult, WithoutVersionIsOfTheConfigurationsVersion) {
  EXPECT_EQ(decoded(R"({"ip4":{"ip":"10.0.0.2/24"}})", "0.2.0").ips.size(), 1u);
  EXPECT_EQ(decoded(R"({"ips":[{"version":"4","address":"10.0.0.2/24","gateway":""}]})", "0.4.0").ips.size(), 1u);
}

TEST(DecodeResult, RefusesGarbageWithThePlace) {
  EXPECT_EQ(code_of(R"("text")"), kDecodingFailure);
  EXPECT_EQ(code_of(R"([])"), kDecodingFailure);
  EXPECT_EQ(code_of(R"({"ips":[{"address":"x"}]})"), kDecodingFailure);
  EXPECT_EQ(code_of(R"({"ips":[{"address":"10.0.0.1"}]})"), kDecodingFailure);
  EXPECT_EQ(code_of(R"({"ips":{"a":1}})"), kDecodingFailure);
  EXPECT_EQ(code_of(R"({"ip4":{"ip":"fd00::1/64"}})", "0.2.0"), kDecodingFailure);
  EXPECT_EQ(code_of(R"({"cniVersion":"3.0.0"})"), kIncompatibleVersion);
  auto r = decode_result(Json::parse(R"({"ips":[{"address":"10.0.0.1/8","interface":-1}]})"), "1.0.0", "t");
  ASSERT_FALSE(r);
  EXPECT_NE(r.error().msg.find("/ips/0/interface"), std::string::npos);
}

TEST(Versions, AreExactStrings) {
  EXPECT_TRUE(is_supported_version("0.3.1"));
  for (const char* v : {"1.0", "v1.0.0", "1.0.0 ", "0.5.0", "2.0.0", "", "1.1.0-rc1"})
    EXPECT_FALSE(is_supported_version(v)) << v;
  EXPECT_TRUE(version_at_least("1.0.0", "0.4.0"));
  EXPECT_FALSE(version_at_least("0.3.1", "0.4.0"));
}

}  // namespace
}  // namespace fairlead::cni
