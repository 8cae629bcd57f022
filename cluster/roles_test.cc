#include "cluster/roles.h"

#include <gtest/gtest.h>

namespace fairlead::cluster {
namespace {

Identity who(const std::string& role) { return {"c1", role, "n1", 7}; }
bool may(const std::string& role, Verb verb, const std::string& key) { return !refusal(who(role), verb, key); }

TEST(Roles, ANodeWritesItsOwnDocumentsAndNoOthers) {
  for (const char* own : {"endpoints/appnet/n1/ab-eth0", "health/appnet/n1/web", "live/n1", "blocks/appnet/n1"})
    EXPECT_TRUE(may("node", Verb::kWrite, own)) << own;
  for (const char* other :
       {"endpoints/appnet/n2/ab-eth0", "health/appnet/n2/web", "live/n2", "networks/appnet", "blocks/appnet/n2",
        "services/appnet/web", "nodes/n1", "members/n2", "cluster/settings", "tokens/node"})
    EXPECT_FALSE(may("node", Verb::kWrite, other)) << other;
}

TEST(Roles, AnOperatorManagesNetworksAndServicesOnly) {
  EXPECT_TRUE(may("operator", Verb::kWrite, "networks/appnet"));
  EXPECT_TRUE(may("operator", Verb::kRemove, "services/appnet/web"));
  for (const char* other : {"endpoints/appnet/n1/ab-eth0", "members/n2", "tokens/manager", "nodes/n1", "live/n1"})
    EXPECT_FALSE(may("operator", Verb::kWrite, other)) << other;
}

TEST(Roles, AViewerReadsAndMayLeave) {
  for (const char* key :
       {"networks/a", "services/a/b", "nodes/n2", "live/n2", "endpoints/a/n2/x-eth0", "health/a/n2/s"}) {
    EXPECT_TRUE(may("viewer", Verb::kRead, key)) << key;
    EXPECT_FALSE(may("viewer", Verb::kWrite, key)) << key;
  }
  EXPECT_TRUE(may("viewer", Verb::kRemove, "members/n1"));
  EXPECT_TRUE(may("viewer", Verb::kWrite, "certificates/n1"));
}

TEST(Roles, SecretsAreReadByNobody) {
  for (const char* role : {"manager", "node", "operator", "viewer"})
    for (const char* key : {"tokens/0123456789abcdef", "counters/node", "something/else", "tokens", ""})
      EXPECT_FALSE(may(role, Verb::kRead, key)) << role << " " << key;
  EXPECT_FALSE(may("node", Verb::kRead, "members/n2"));
}

TEST(Roles, WhatIsSealedIsForItsNodeAndAssociationsAreForTheirPair) {
  for (const char* role : {"manager", "node"}) {
    EXPECT_TRUE(may(role, Verb::kRead, "keys/n1/1-00000000"));
    EXPECT_FALSE(may(role, Verb::kRead, "keys/n2/1-00000000"));
    EXPECT_FALSE(may(role, Verb::kWrite, "keys/n1/1-00000000"));
    EXPECT_TRUE(may(role, Verb::kWrite, "associations/n1/n2"));
    EXPECT_TRUE(may(role, Verb::kRead, "associations/n2/n1"));
    EXPECT_FALSE(may(role, Verb::kWrite, "associations/n2/n1"));
    EXPECT_FALSE(may(role, Verb::kRead, "associations/n2/n3"));
    EXPECT_TRUE(may(role, Verb::kWrite, "public-keys/n1"));
    EXPECT_FALSE(may(role, Verb::kWrite, "public-keys/n2"));
    EXPECT_TRUE(may(role, Verb::kRead, "keys/epochs"));
  }
  EXPECT_TRUE(may("manager", Verb::kWrite, "keys/epochs"));
  EXPECT_FALSE(may("node", Verb::kWrite, "keys/epochs"));
  for (const char* role : {"operator", "viewer"})
    for (const char* key : {"keys/n1/1-00000000", "associations/n1/n2", "associations/n2/n1"})
      EXPECT_FALSE(may(role, Verb::kRead, key)) << role << " " << key;
}

TEST(Roles, KeysThatAreNotWholeAreNobodys) {
  for (const char* key : {"networks", "networks/", "networks//", "networks/a/b", "/networks/a", "endpoints/a/n1",
                          "endpoints/a/n1/", "endpoints/a/n1/x/y", "endpoints//n1/x", "networks/a/"})
    EXPECT_FALSE(may("manager", Verb::kWrite, key)) << key;
}

TEST(Roles, ARoleThatIsNoneMayNothing) {
  for (const char* role : {"", "m", "managers", "etcd", "Manager", "nobody"})
    EXPECT_FALSE(may(role, Verb::kRead, "networks/a")) << role;
}

TEST(Roles, TheRefusalNamesTheRoleThatIsNeeded) {
  EXPECT_EQ(*refusal(who("node"), Verb::kWrite, "networks/a"),
            "n1 has the role node and may not write networks/a; the role manager or operator is needed");
  EXPECT_NE(refusal(who("viewer"), Verb::kRemove, "members/n2")->find("the role manager is needed"), std::string::npos);
}

}  // namespace
}  // namespace fairlead::cluster
