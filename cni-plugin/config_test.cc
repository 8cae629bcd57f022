#include "cni-plugin/config.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace fairlead::plugin {
namespace {

cni::Request request_of(const char* conf, std::vector<std::pair<std::string, std::string>> args = {}) {
  cni::Request r;
  r.conf = std::make_shared<const Json>(Json::parse(conf));
  r.name = r.conf->value("name", "appnet");
  r.version = "1.0.0";
  r.container = "c1";
  r.ifname = "eth0";
  r.args = std::move(args);
  return r;
}

int code_of(const char* conf, std::vector<std::pair<std::string, std::string>> args = {}) {
  auto config = read_config(request_of(conf, std::move(args)));
  return config ? 0 : config.error().code;
}

TEST(PluginConfig, AddsNamesFromEverySourceTogether) {
  auto config = read_config(request_of(
      R"({"name":"appnet","services":["web"],"runtimeConfig":{"aliases":{"appnet":["www"]}},
          "args":{"cni":{"labels":[{"key":"fairlead.service","value":"api,web"},{"key":"fairlead.alias","value":"w"}]}}})",
      {{"FAIRLEAD_NAME", "web-1"},
       {"FAIRLEAD_SERVICES", "db"},
       {"FAIRLEAD_ALIASES", "a,b"},
       {"K8S_POD_NAME", "pod"},
       {"K8S_POD_NAMESPACE", "ns"}}));
  ASSERT_TRUE(config) << config.error().msg;
  EXPECT_EQ(config->services, (std::vector<std::string>{"web", "db", "api"}));
  EXPECT_EQ(config->names, (std::vector<std::string>{"web-1", "pod", "pod.ns"}));
  EXPECT_EQ(config->aliases, (std::vector<std::string>{"a", "b", "w", "www"}));
  EXPECT_EQ(config->ipam_type, "fairlead-ipam");
}

TEST(PluginConfig, TakesAPodsAnnotationsThatAreMeantForIt) {
  auto config = read_config(request_of(
      R"({"name":"appnet","runtimeConfig":{"io.kubernetes.cri.pod-annotations":
          {"fairlead.service":"web,api","fairlead.alias":"www","fairlead.name":"w1","fairlead.weight":"3","other":"{}"}}})"));
  ASSERT_TRUE(config) << config.error().msg;
  EXPECT_EQ(config->services, (std::vector<std::string>{"web", "api"}));
  EXPECT_EQ(config->names, (std::vector<std::string>{"w1"}));
  EXPECT_EQ(config->aliases, (std::vector<std::string>{"www"}));
  EXPECT_EQ(config->labels.size(), 4u) << "what is not ours is not kept";
}

TEST(PluginConfig, RefusesWithTheCodeTheSpecHasForIt) {
  EXPECT_EQ(code_of(R"({"name":"appnet","encryption":"ipsec"})"), 0);
  EXPECT_EQ(code_of(R"({"name":"appnet","encryption":"rot13"})"), cni::kInvalidConfig);
  EXPECT_EQ(code_of(R"({"name":"AppNet"})"), cni::kInvalidConfig);
  EXPECT_EQ(code_of(R"({"name":"AppNet","network":"appnet"})"), 0);
  EXPECT_EQ(code_of(R"({"name":"appnet","subnets":["10.0.0.1/8"]})"), cni::kInvalidConfig);
  EXPECT_EQ(code_of(R"({"name":"appnet","services":["../x"]})"), cni::kInvalidConfig);
  EXPECT_EQ(code_of(R"({"name":"appnet","runtimeConfig":{"deviceID":"x"}})"), cni::kUnsupportedField);
  EXPECT_EQ(code_of(R"({"name":"appnet"})", {{"FAIRLEAD_NAME", "a b"}}), cni::kInvalidEnvironment);
  // A pod's name is the runtime's choice, not the user's mistake.
  EXPECT_EQ(code_of(R"({"name":"appnet"})", {{"K8S_POD_NAME", "a b"}}), 0);
}

TEST(PluginConfig, LearnsSubnetsFromTheIpamsConfiguration) {
  auto subnets = [](const char* conf) {
    std::string text;
    for (const auto& s : subnets_of_ipam(Json::parse(conf))) text += s.to_string() + " ";
    return text;
  };
  EXPECT_EQ(subnets(R"({"ipam":{"type":"host-local","subnet":"10.9.0.0/16"}})"), "10.9.0.0/16 ");
  EXPECT_EQ(subnets(R"({"ipam":{"ranges":[[{"subnet":"10.9.0.0/24"}],[{"subnet":"fd09::/64"}]]}})"),
            "10.9.0.0/24 fd09::/64 ");
  EXPECT_EQ(subnets(R"({"ipam":{"type":"static","addresses":[{"address":"10.9.0.5/24"}]}})"), "10.9.0.0/24 ");
  EXPECT_EQ(subnets(R"({"ipam":{"ranges":"x"}})"), "");
  EXPECT_EQ(subnets(R"({"ipam":{"ranges":[3,{"subnet":4}]}})"), "");
}

}  // namespace
}  // namespace fairlead::plugin
