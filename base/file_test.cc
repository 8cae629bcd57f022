#include "base/file.h"

#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <thread>
#include <vector>

namespace fairlead {
namespace {

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/fairlead-file-test-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  size_t entries() const {
    size_t n = 0;
    for ([[maybe_unused]] auto& e : std::filesystem::directory_iterator(folder_)) n++;
    return n;
  }
  std::string folder_;
};

TEST_F(FileTest, OfManyCreatorsExactlyOneWinsAndNothingIsLeftOver) {
  std::string path = folder_ + "/lease";
  std::vector<std::thread> threads;
  std::atomic<int> winners{0};
  for (int i = 0; i < 8; i++)
    threads.emplace_back([&, i] { winners += create_file(path, std::to_string(i), Durability::kBoot).value(); });
  for (auto& t : threads) t.join();
  EXPECT_EQ(winners, 1);
  EXPECT_EQ(entries(), 1u);
}

TEST_F(FileTest, ReplaceLeavesTheOldTextWhenTheNewCannotBeWritten) {
  std::string path = folder_ + "/doc";
  ASSERT_TRUE(replace_file(path, "old", Durability::kDurable));
  ASSERT_EQ(**read_file(path), "old");
  EXPECT_FALSE(replace_file(folder_ + "/none/doc", "new", Durability::kBoot));
  ASSERT_TRUE(replace_file(path, "new", Durability::kBoot));
  EXPECT_EQ(**read_file(path), "new");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(FileTest, ReadingIsLimitedAndDoesNotHangOnAFifo) {
  std::string path = folder_ + "/x";
  EXPECT_FALSE((*read_file(path)).has_value());
  ASSERT_TRUE(replace_file(path, std::string(100, 'x'), Durability::kBoot));
  EXPECT_EQ((*read_file(path, 100))->size(), 100u);
  EXPECT_FALSE(read_file(path, 99));
  ASSERT_EQ(mkfifo((folder_ + "/fifo").c_str(), 0600), 0);
  EXPECT_FALSE(read_file(folder_ + "/fifo"));
  EXPECT_FALSE(read_file(folder_));
}

TEST_F(FileTest, ALockIsGivenUpAfterItsTime) {
  auto held = lock_file(folder_ + "/lock", 0);
  ASSERT_TRUE(held);
  auto second = lock_file(folder_ + "/lock", 10);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().sys, EWOULDBLOCK);
  held->reset();
  EXPECT_TRUE(lock_file(folder_ + "/lock", 0));
}

TEST_F(FileTest, LocksOfDifferentKeysDoNotMeet) {
  const std::string path = folder_ + "/locks";
  auto a = lock_key(path, "net/a-eth0", 0);
  ASSERT_TRUE(a);
  EXPECT_TRUE(lock_key(path, "net/b-eth0", 0));
  auto again = lock_key(path, "net/a-eth0", 10);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().sys, EWOULDBLOCK);
  a->reset();
  EXPECT_TRUE(lock_key(path, "net/a-eth0", 0));
}

}  // namespace
}  // namespace fairlead
