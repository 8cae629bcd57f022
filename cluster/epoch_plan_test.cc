#include "cluster/epoch_plan.h"

#include <gtest/gtest.h>

namespace fairlead::cluster {
namespace {

using Places = std::vector<std::pair<std::string, std::string>>;
constexpr const char* kOld = "1-00000000";
constexpr const char* kNew = "2-00000000";

// Three nodes, two epochs, all in order at second 1000.
EpochFacts orderly() {
  EpochFacts facts;
  facts.now = 1000;
  facts.list = {100, {{kNew, 950}, {kOld, 850}}};
  for (uint32_t i = 1; i <= 3; i++) {
    const std::string name = "n" + std::to_string(i);
    facts.nodes.push_back({name, i, "key" + name});
    facts.members.insert(name);
    for (const char* epoch : {kOld, kNew}) facts.copies[{name, epoch}] = {epoch, "", "key" + name, i};
  }
  facts.can_open = {kOld, kNew};
  return facts;
}

TEST(EpochPlan, NothingIsDoneWhereAllIsInOrder) {
  auto plan = plan_epochs(orderly());
  EXPECT_EQ(plan.make, "");
  EXPECT_TRUE(plan.seal.empty() && plan.remove.empty() && plan.strange.empty());
}

TEST(EpochPlan, TheFirstOneComesWithTheFirstKey) {
  EpochFacts facts;
  EXPECT_EQ(plan_epochs(facts).make, "");
  facts.nodes.push_back({"n1", 1, "k"});
  facts.members = {"n1"};
  EXPECT_NE(plan_epochs(facts).make, "");
}

TEST(EpochPlan, AgeAndFuture) {
  auto facts = orderly();
  facts.now = 1049;
  EXPECT_EQ(plan_epochs(facts).make, "");
  facts.now = 1050;
  EXPECT_NE(plan_epochs(facts).make, "");
  facts.now = 950 - 3600;
  EXPECT_EQ(plan_epochs(facts).make, "");
  facts.now--;
  EXPECT_NE(plan_epochs(facts).make, "");
}

TEST(EpochPlan, ANodeThatIsGoneMeansANewEpochAndThenItsCopiesGo) {
  auto facts = orderly();
  facts.members.erase("n2");
  facts.nodes.erase(facts.nodes.begin() + 1);
  auto plan = plan_epochs(facts);
  EXPECT_EQ(plan.make, "n2 is no longer a member");
  EXPECT_TRUE(plan.remove.empty()) << "the copy is what says that an epoch is due, also to another manager";
  facts.list = with_epoch(facts.list, {"3-00000000", 1000});
  EXPECT_EQ(facts.list.epochs.size(), 2u);
  EXPECT_EQ(facts.list.epochs[1].id, kNew);
  for (const char* name : {"n1", "n3"})
    facts.copies[{name, "3-00000000"}] = {"3-00000000", "", std::string("key") + name, name[1] == '1' ? 1u : 3u};
  plan = plan_epochs(facts);
  EXPECT_EQ(plan.make, "");
  EXPECT_EQ(plan.remove, (Places{{"n2", kNew}}));
  EXPECT_EQ(plan.strange, (Places{{"n1", kOld}, {"n2", kOld}, {"n3", kOld}}));
}

TEST(EpochPlan, ANameThatCameBackIsAnotherNode) {
  auto facts = orderly();
  facts.nodes[1] = {"n2", 9, "other"};
  EXPECT_EQ(plan_epochs(facts).make, "n2 is no longer a member");
  facts.list = with_epoch(facts.list, {"3-00000000", 1000});
  facts.can_open.insert("3-00000000");
  auto plan = plan_epochs(facts);
  EXPECT_EQ(plan.make, "");
  EXPECT_TRUE(plan.remove.empty()) << "they are sealed anew";
  EXPECT_NE(std::find(plan.seal.begin(), plan.seal.end(), std::pair<std::string, std::string>{"n2", kNew}),
            plan.seal.end());
}

TEST(EpochPlan, ANodeWithoutAKeyYetIsNoOrphan) {
  auto facts = orderly();
  facts.nodes.erase(facts.nodes.begin() + 1);
  EXPECT_EQ(plan_epochs(facts).make, "");
}

TEST(EpochPlan, NewcomersAndNewKeysGetCopiesOfWhatCanBeOpened) {
  auto facts = orderly();
  facts.nodes.push_back({"n4", 4, "keyn4"});
  facts.members.insert("n4");
  facts.nodes[0].key = "changed";
  EXPECT_EQ(plan_epochs(facts).seal, (Places{{"n1", kNew}, {"n4", kNew}, {"n1", kOld}, {"n4", kOld}}));
  facts.can_open = {kNew};
  EXPECT_EQ(plan_epochs(facts).seal, (Places{{"n1", kNew}, {"n4", kNew}}));
  facts.can_open = {};
  EXPECT_TRUE(plan_epochs(facts).seal.empty());
  EXPECT_EQ(plan_epochs(facts).make, "");
  facts.lost = true;
  EXPECT_NE(plan_epochs(facts).make, "");
}

}  // namespace
}  // namespace fairlead::cluster
