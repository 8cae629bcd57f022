// The agent's own files: numbers of uplinks, what was changed on the host.
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

#include "agent/host_record.h"
#include "agent/uplink_index.h"
#include "base/file.h"

namespace fairlead::agent {
namespace {

struct AgentFiles : testing::Test {
  Paths paths;
  void SetUp() override {
    std::string folder = testing::TempDir() + "fairlead-agent-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    paths.run = folder;
  }
};

TEST_F(AgentFiles, EveryNetworkKeepsItsNumberAndTheLowestFreeOneIsTaken) {
  EXPECT_EQ(*reserve_index(paths, "a", {}), 0u);
  EXPECT_EQ(*reserve_index(paths, "b-c.d", {}), 1u);
  EXPECT_EQ(*reserve_index(paths, "a", 7), 0u);
  ASSERT_TRUE(release_index(paths, "a"));
  EXPECT_EQ(*reserve_index(paths, "e", {}), 0u);
  EXPECT_EQ(reserved_indexes(paths)->at("b-c.d"), 1u);
}

TEST_F(AgentFiles, APreferredNumberIsGivenUnlessSomebodyHasIt) {
  EXPECT_EQ(*reserve_index(paths, "a", 5), 5u);
  EXPECT_EQ(*reserve_index(paths, "b", 5), 0u);
}

TEST_F(AgentFiles, StrangeFilesAmongTheNumbersAreLookedPast) {
  ASSERT_TRUE(make_folders(paths.routers() + "/.index"));
  for (const char* name : {"x-a", "9999-b", "1-", "1-UPPER", "-", "12", "3-../x"})
    (void)replace_file(paths.routers() + "/.index/" + name, "", Durability::kBoot);
  EXPECT_TRUE(reserved_indexes(paths)->empty());
  EXPECT_EQ(*reserve_index(paths, "a", {}), 0u);
}

TEST_F(AgentFiles, NumbersTakenByManyAtOnceAreAllDifferent) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; i++)
    threads.emplace_back([&, i] { EXPECT_TRUE(reserve_index(paths, "net" + std::to_string(i), {})); });
  for (auto& t : threads) t.join();
  auto reserved = *reserved_indexes(paths);
  std::set<uint32_t> numbers;
  for (const auto& [name, index] : reserved) numbers.insert(index);
  EXPECT_EQ(numbers.size(), 16u);
  EXPECT_EQ(*numbers.rbegin(), 15u);
}

TEST_F(AgentFiles, TheHostRecordReadsBackAndABrokenOrOldOneIsNone) {
  HostRecord record = *load_host_record(paths);
  EXPECT_FALSE(record.opened4);
  record.opened4 = true;
  record.opened6 = false;
  record.accept_ra = {"default", "eth0"};
  record.rules = {"aa", "bb"};
  ASSERT_TRUE(save_host_record(paths, record));
  EXPECT_EQ(*load_host_record(paths), record);
  HostRecord old = record;
  old.boot = "another boot";
  ASSERT_TRUE(save_host_record(paths, old));
  EXPECT_FALSE(load_host_record(paths)->opened4);
  ASSERT_TRUE(replace_file(paths.run + "/host.json", "{\"bootId\":", Durability::kBoot));
  EXPECT_FALSE(load_host_record(paths)->opened4);
}

TEST_F(AgentFiles, InterfaceNamesInTheHostRecordCannotLeaveTheirFolder) {
  HostRecord record = *load_host_record(paths);
  record.accept_ra = {"../../../etc", "eth0", "a/b", ""};
  ASSERT_TRUE(save_host_record(paths, record));
  EXPECT_EQ(load_host_record(paths)->accept_ra, std::vector<std::string>{"eth0"});
}

TEST(RulesMark, LivesAmongTheUnknownFieldsOfARouter) {
  EXPECT_EQ(mark_of(""), RulesMark{});
  EXPECT_EQ(mark_of("not json"), RulesMark{});
  EXPECT_EQ(mark_of("{\"rules\":5}"), RulesMark{});
  std::string extra = with_mark("{\"note\":\"kept\"}", {"aa", "bb"});
  EXPECT_EQ(mark_of(extra), (RulesMark{"aa", "bb"}));
  EXPECT_NE(extra.find("kept"), std::string::npos);
}

}  // namespace
}  // namespace fairlead::agent
