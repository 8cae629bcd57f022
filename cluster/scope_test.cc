#include "cluster/scope.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace fairlead::cluster {
namespace {

const std::string kPublished =
    R"({"network":"front","name":"web","ports":[{"port":80,"published":8000}],"vips":["10.1.0.9"]})";
const std::string kOnHosts =
    R"({"network":"back","name":"db","ports":[{"port":80,"published":8000,"publishMode":"host"}],"vips":["10.1.0.9"]})";

Scope of(Feed::Documents documents, const std::string& role = "node") {
  Feed feed;
  feed.replace(std::move(documents), 5);
  return scope_of(feed, {"c1", role, "n1", 7});
}

TEST(Scope, ANodeTakesPartWhereItHasEndpoints) {
  EXPECT_EQ(of({{"endpoints/a/n1/x-eth0", "{}"}, {"endpoints/b/n2/x-eth0", "{}"}, {"networks/b", "{}"}}), Scope({"a"}));
  // Names that look like one another.
  EXPECT_EQ(of({{"endpoints/a/n11/x-eth0", "{}"}, {"endpoints/n1/n2/x", "{}"}, {"health/c/n1/web", "{}"}}),
            Scope(std::set<std::string>{}));
}

TEST(Scope, APortPublishedOnEveryNodeNeedsEveryNode) {
  EXPECT_EQ(
      of({{"services/front/web", kPublished}, {"services/back/db", kOnHosts}, {"services/bad/x", "\"published\""}}),
      Scope({"front"}));
  EXPECT_EQ(of({{"services/front/web", kPublished}}, "manager"), Scope({"front"}));
}

TEST(Scope, WhoHasNoContainersLooksAtEverything) {
  EXPECT_EQ(of({{"endpoints/a/n1/x-eth0", "{}"}}, "viewer"), std::nullopt);
  EXPECT_TRUE(in_scope(std::nullopt, "endpoints/a/n1/x-eth0"));
}

TEST(Scope, EndpointsAndHealthOfOtherNetworksAreOutside) {
  const Scope scope = std::set<std::string>{"a"};
  for (const char* inside : {"endpoints/a/n2/x", "health/a/n2/web", "networks/b", "services/b/web", "nodes/n2"})
    EXPECT_TRUE(in_scope(scope, inside)) << inside;
  for (const char* outside : {"endpoints/b/n2/x", "health/b/n2/web", "endpoints/ab/n2/x", "endpoints/"})
    EXPECT_EQ(in_scope(scope, outside), std::string(outside) == "endpoints/") << outside;
}

TEST(Scope, OnlyOwnEndpointsAndServicesChangeIt) {
  const Scope scope = std::set<std::string>{"a"};
  EXPECT_TRUE(changes_scope(scope, {"endpoints/b/n1/x", "{}", 1}, "n1"));
  EXPECT_TRUE(changes_scope(scope, {"endpoints/a/n1/x", std::nullopt, 1}, "n1"));
  EXPECT_TRUE(changes_scope(scope, {"services/b/web", "{}", 1}, "n1"));
  EXPECT_FALSE(changes_scope(scope, {"endpoints/a/n1/y", "{}", 1}, "n1"));
  EXPECT_FALSE(changes_scope(scope, {"endpoints/b/n2/x", "{}", 1}, "n1"));
  EXPECT_FALSE(changes_scope(std::nullopt, {"endpoints/b/n1/x", "{}", 1}, "n1"));
}

TEST(Scope, AsAFieldOfAMessage) {
  Json message = Json::object();
  put_scope(message, std::nullopt);
  EXPECT_EQ(scope_at(message), std::nullopt);
  put_scope(message, std::set<std::string>{});
  EXPECT_EQ(scope_at(message), Scope(std::set<std::string>{}));
  message["networks"] = {"a", 7, "../x"};
  EXPECT_EQ(scope_at(message), Scope({"a"}));
}

}  // namespace
}  // namespace fairlead::cluster
