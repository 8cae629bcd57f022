#include "ipam/lease.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "ipam/ipam.h"
#include "state/netns_id.h"

namespace fairlead::ipam {
namespace {

namespace fs = std::filesystem;

Address addr(const std::string& text) { return *Address::parse(text); }

class LeaseTest : public testing::Test {
 protected:
  LeaseTest() {
    char name[] = "/tmp/lease-test-XXXXXX";
    folder_ = paths_.run = mkdtemp(name);
    paths_.state = paths_.run + "/state";
  }
  ~LeaseTest() override { fs::remove_all(folder_); }

  IpamRequest request(const std::string& container, const char* subnet = "10.0.0.0/16") {
    IpamRequest r;
    r.network = "net";
    r.container = container;
    r.ifname = "eth0";
    r.sets = {{{*make_range(*Prefix::parse(subnet))}, {}}, {{*make_range(*Prefix::parse("fd00::/64"))}, {}}};
    return r;
  }
  LeaseStore store() { return LeaseStore(paths_, "net"); }
  size_t files(const std::string& folder) {
    size_t n = 0;
    std::error_code none;
    for (const auto& e : fs::directory_iterator(paths_.run + "/" + folder + "/net", none))
      n += e.path().filename().string()[0] != '.' || e.path().filename().string().starts_with(".tmp");
    return n;
  }
  // Every lease has an owner that is the same file, and every owner's addresses are its own.
  void expect_consistent() {
    std::map<ino_t, std::string> owners;
    for (const auto& e : fs::directory_iterator(paths_.run + "/lease-owners/net")) {
      struct stat st {};
      ASSERT_EQ(stat(e.path().c_str(), &st), 0);
      owners[st.st_ino] = e.path();
    }
    for (const auto& e : fs::directory_iterator(paths_.run + "/leases/net")) {
      struct stat st {};
      ASSERT_EQ(stat(e.path().c_str(), &st), 0);
      EXPECT_TRUE(owners.count(st.st_ino)) << "lease without owner: " << e.path();
    }
  }

  Paths paths_;
  std::string folder_;
};

TEST_F(LeaseTest, IsOneFilePerAddressThatNamesTheOwner) {
  auto granted = allocate(paths_, request("web"));
  ASSERT_TRUE(granted) << granted.error().msg;
  ASSERT_EQ(granted->size(), 2u);
  EXPECT_EQ((*granted)[0].address.to_string(), "10.0.0.2/16");
  EXPECT_EQ((*granted)[0].gateway->to_string(), "10.0.0.1");
  EXPECT_EQ((*granted)[1].address.to_string(), "fd00::2/64");
  EXPECT_EQ(files("leases"), 2u);
  auto holder = store().holder(addr("fd00::2"));
  ASSERT_TRUE(holder && *holder);
  EXPECT_EQ((*holder)->container, "web");
  auto all = list_leases(paths_, "net");
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0].owner, (cni::Attachment{"web", "eth0"}));
}

TEST_F(LeaseTest, IsReleasedOnceAndOnlyForItsOwner) {
  ASSERT_TRUE(allocate(paths_, request("a")));
  ASSERT_TRUE(allocate(paths_, request("b")));
  EXPECT_EQ(*store().release("a", "eth1"), false);
  EXPECT_EQ(*store().release("a", "eth0"), true);
  EXPECT_EQ(*store().release("a", "eth0"), false);
  EXPECT_EQ(files("leases"), 2u);
  EXPECT_EQ(leases_of(paths_, "net", "b", "eth0")->size(), 2u);
  EXPECT_TRUE(leases_of(paths_, "net", "a", "eth0")->empty());
}

TEST_F(LeaseTest, ASecondAllocationOfTheSameAttachmentIsRefusedAndTheFirstStays) {
  ASSERT_TRUE(allocate(paths_, request("a")));
  auto second = allocate(paths_, request("a"));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, cni::kAddressInUse);
  EXPECT_EQ(leases_of(paths_, "net", "a", "eth0")->size(), 2u);
  EXPECT_EQ(files("leases"), 2u);
}

TEST_F(LeaseTest, TheAddressReleasedLastIsGivenLast) {
  for (const char* c : {"a", "b", "c"}) ASSERT_TRUE(allocate(paths_, request(c, "10.0.0.0/29")));
  ASSERT_TRUE(release(paths_, "net", "b", "eth0"));
  std::vector<std::string> order;
  for (const char* c : {"d", "e", "f"})
    order.push_back(allocate(paths_, request(c, "10.0.0.0/29"))->front().address.address.to_string());
  EXPECT_EQ(order, (std::vector<std::string>{"10.0.0.5", "10.0.0.6", "10.0.0.3"}));
}

TEST_F(LeaseTest, AnExhaustedPoolIsSaidAndNothingIsKept) {
  for (int i = 0; i < 5; i++) ASSERT_TRUE(allocate(paths_, request("c" + std::to_string(i), "10.0.0.0/29")));
  auto none = allocate(paths_, request("late", "10.0.0.0/29"));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, cni::kTryAgainLater);
  EXPECT_NE(none.error().msg.find("10.0.0.0/29"), std::string::npos);
  EXPECT_EQ(files("leases"), 10u);
  EXPECT_EQ(files("lease-owners"), 5u);
}

TEST_F(LeaseTest, TheLastFreeAddressOfAFullPoolIsFoundBehindMoreThanOneWindow) {
  // 510 hosts of a /23 without the gateway; all taken but one, far from the cursor.
  for (int i = 0; i < 509; i++) ASSERT_TRUE(allocate(paths_, request("c" + std::to_string(i), "10.0.0.0/23")));
  ASSERT_FALSE(allocate(paths_, request("late", "10.0.0.0/23")));
  ASSERT_TRUE(release(paths_, "net", "c300", "eth0"));
  auto last = allocate(paths_, request("late", "10.0.0.0/23"));
  ASSERT_TRUE(last) << last.error().msg;
  EXPECT_EQ(last->front().address.address, addr("10.0.0.2").plus(300));
}

TEST_F(LeaseTest, RequestedAddressesAreAllGrantedOrNoneIs) {
  auto r = request("a");
  r.wanted = {addr("fd00::77"), addr("10.0.0.77")};
  auto granted = allocate(paths_, r);
  ASSERT_TRUE(granted) << granted.error().msg;
  EXPECT_EQ((*granted)[0].address.to_string(), "10.0.0.77/16");
  EXPECT_EQ((*granted)[1].address.to_string(), "fd00::77/64");
  auto again = request("b");
  again.wanted = {addr("10.0.0.77")};
  auto refused = allocate(paths_, again);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, cni::kAddressInUse);
  EXPECT_NE(refused.error().msg.find("container a"), std::string::npos);
  for (const char* bad : {"10.0.0.1", "10.0.0.0", "10.0.255.255", "10.1.0.1"}) {
    auto wish = request("b");
    wish.wanted = {addr(bad)};
    auto error = allocate(paths_, wish);
    ASSERT_FALSE(error) << bad;
    EXPECT_EQ(error.error().code, cni::kInvalidConfig);
  }
  auto twice = request("b");
  twice.wanted = {addr("10.0.0.80"), addr("10.0.0.81")};
  EXPECT_FALSE(allocate(paths_, twice));
  EXPECT_EQ(files("leases"), 2u);
  EXPECT_EQ(files("lease-owners"), 1u);
}

TEST_F(LeaseTest, LongContainerIdsAndStrangeNetworkNamesFitIntoFileNames) {
  auto r = request(std::string(3000, 'x'));
  r.network = std::string(500, 'N');
  ASSERT_TRUE(allocate(paths_, r));
  auto other = r;
  other.container += "y";
  ASSERT_TRUE(allocate(paths_, other));
  EXPECT_EQ(leases_of(paths_, r.network, r.container, "eth0")->size(), 2u);
  EXPECT_TRUE(release(paths_, r.network, r.container, "eth0"));
  EXPECT_TRUE(leases_of(paths_, r.network, r.container, "eth0")->empty());
  EXPECT_EQ(leases_of(paths_, r.network, other.container, "eth0")->size(), 2u);
}

TEST_F(LeaseTest, ADamagedOwnerIsReleasedAllTheSame) {
  ASSERT_TRUE(allocate(paths_, request("a")));
  ASSERT_TRUE(allocate(paths_, request("b")));
  std::ofstream(paths_.run + "/lease-owners/net/a@eth0", std::ios::trunc) << "{";
  EXPECT_EQ(*store().release("a", "eth0"), true);
  EXPECT_EQ(files("leases"), 2u);
  EXPECT_EQ(files("lease-owners"), 1u);
}

TEST_F(LeaseTest, CollectReleasesWhatIsNotKeptAndLeasesWithoutOwner) {
  for (const char* c : {"keep", "drop", "orphan"}) ASSERT_TRUE(allocate(paths_, request(c)));
  fs::remove(paths_.run + "/lease-owners/net/orphan@eth0");
  std::ofstream(paths_.run + "/lease-owners/net/.tmp-1-2") << "x";
  fs::last_write_time(paths_.run + "/lease-owners/net/.tmp-1-2",
                      fs::file_time_type::clock::now() - std::chrono::minutes(5));
  LeaseStore::Collection collection;
  collection.judge = [](const Owner& owner) {
    return owner.container == "keep" ? std::nullopt : std::optional<Fd>(Fd());
  };
  collection.min_age_ms = 60000;
  ASSERT_TRUE(store().collect(collection));
  EXPECT_EQ(files("leases"), 6u) << "younger than a minute";
  collection.min_age_ms = 0;
  ASSERT_TRUE(store().collect(collection));
  EXPECT_EQ(files("leases"), 2u);
  EXPECT_EQ(files("lease-owners"), 1u);
  EXPECT_EQ(leases_of(paths_, "net", "keep", "eth0")->size(), 2u);
}

TEST_F(LeaseTest, CollectAsksOnlyAboutWhatIsNotKnownToLive) {
  for (const char* c : {"a", "b"}) ASSERT_TRUE(allocate(paths_, request(c)));
  std::vector<std::string> asked;
  LeaseStore::Collection collection;
  collection.judge = [&](const Owner& owner) -> std::optional<Fd> {
    asked.push_back(owner.container);
    return std::nullopt;
  };
  collection.known = [](const std::string& name) { return name == LeaseStore::owner_name("a", "eth0"); };
  ASSERT_TRUE(LeaseStore::of_folder(paths_, "net").collect(collection));
  EXPECT_EQ(asked, std::vector<std::string>{"b"});
  EXPECT_EQ(files("leases"), 4u);
}

TEST_F(LeaseTest, CollectNeverReleasesWhatTookTheNameWhileItWasJudged) {
  ASSERT_TRUE(allocate(paths_, request("a")));
  LeaseStore::Collection collection;
  collection.judge = [&](const Owner&) {
    EXPECT_EQ(*store().release("a", "eth0"), true);
    EXPECT_TRUE(allocate(paths_, request("a")));
    return std::optional<Fd>(Fd());
  };
  ASSERT_TRUE(store().collect(collection));
  EXPECT_EQ(leases_of(paths_, "net", "a", "eth0")->size(), 2u) << "the new attachment keeps its addresses";
}

TEST_F(LeaseTest, TheOwnerSaysWhichNamespaceItWasAndWhoAsked) {
  auto r = request("a");
  r.netns = "/proc/self/ns/net";
  r.by_fairlead = true;
  ASSERT_TRUE(allocate(paths_, r));
  auto holding = store().find("a", "eth0");
  ASSERT_TRUE(holding && *holding);
  EXPECT_EQ((*holding)->owner.netns_inode, netns_inode(r.netns));
  EXPECT_NE((*holding)->owner.netns_inode, 0u);
  EXPECT_TRUE((*holding)->owner.by_fairlead);
  ASSERT_TRUE(allocate(paths_, request("b")));
  EXPECT_FALSE((*store().find("b", "eth0"))->owner.by_fairlead);
}

TEST_F(LeaseTest, AStoppedHolderOfTheLockHoldsUpOnlyItsOwnAttachment) {
  ASSERT_TRUE(allocate(paths_, request("a")));
  Fd holder(open((paths_.run + "/lease-owners/net/a@eth0").c_str(), O_RDONLY));
  ASSERT_EQ(flock(holder.get(), LOCK_EX), 0);
  ASSERT_TRUE(allocate(paths_, request("b")));
  EXPECT_EQ(*store().release("b", "eth0"), true);
  auto held = store().release("a", "eth0");
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().sys, EWOULDBLOCK);
  holder.reset();
  EXPECT_EQ(*store().release("a", "eth0"), true);
}

TEST_F(LeaseTest, FiftyThreadsAtOnceGetFiftyAddresses) {
  std::vector<std::thread> threads;
  std::vector<std::string> given(50);
  for (size_t i = 0; i < 50; i++)
    threads.emplace_back([&, i] {
      auto granted = allocate(paths_, request("c" + std::to_string(i)));
      if (granted) given[i] = granted->front().address.to_string();
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(std::set<std::string>(given.begin(), given.end()).size(), 50u);
  EXPECT_FALSE(std::count(given.begin(), given.end(), ""));
  EXPECT_EQ(files("leases"), 100u);
}

TEST_F(LeaseTest, ManyThreadsShareThreeFreeAddressesWithoutGivingOneTwice) {
  std::vector<std::thread> threads;
  std::array<std::atomic<int>, 8> held{};
  std::atomic<int> got{0}, doubled{0};
  for (int t = 0; t < 8; t++)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 60; i++) {
        auto r = request("c" + std::to_string(t), "10.0.0.0/29");
        r.sets.resize(1);
        auto granted = allocate(paths_, r);
        if (!granted) continue;
        auto& count = held[granted->front().address.address.to_v4() & 7];
        if (count.fetch_add(1) != 0) doubled++;
        got++;
        std::this_thread::yield();
        count.fetch_sub(1);
        if (!release(paths_, "net", r.container, "eth0")) doubled += 1000;
      }
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(doubled, 0);
  EXPECT_GT(got, 60);
  EXPECT_EQ(files("leases"), 0u);
  EXPECT_EQ(files("lease-owners"), 0u);
}

// CNI-161 at the level of leases: ADD and DEL of one attachment at the same time.
TEST_F(LeaseTest, AllocationAndReleaseOfOneAttachmentAtOnceEndInOneOfTheTwo) {
  for (int round = 0; round < 200; round++) {
    std::thread add([&] { (void)allocate(paths_, request("same")); });
    std::thread del([&] { EXPECT_TRUE(release(paths_, "net", "same", "eth0")); });
    add.join();
    del.join();
    expect_consistent();
    auto left = leases_of(paths_, "net", "same", "eth0");
    ASSERT_TRUE(left);
    ASSERT_TRUE(left->empty() || left->size() == 2) << left->size();
    ASSERT_TRUE(release(paths_, "net", "same", "eth0"));
    ASSERT_EQ(files("leases"), 0u);
  }
}

// CNI-056, CNI-157: killed anywhere, DEL finds what there is.
TEST_F(LeaseTest, NothingIsLostOrDoubledWhenProcessesAreKilledAtRandom) {
  std::mt19937 random(57);
  int killed = 0;
  for (int round = 0; round < 150; round++) {
    std::vector<pid_t> children;
    for (int c = 0; c < 4; c++) {
      pid_t pid = fork();
      if (pid == 0) {
        for (int i = 0; i < 1000; i++) {
          std::string name = "r" + std::to_string(round) + "c" + std::to_string(c) + "n" + std::to_string(i % 3);
          (void)allocate(paths_, request(name, "10.0.0.0/27"));
          if (i % 2) (void)release(paths_, "net", name, "eth0");
        }
        _exit(0);
      }
      children.push_back(pid);
    }
    usleep(random() % 3000);
    for (pid_t pid : children) kill(pid, SIGKILL);
    for (pid_t pid : children) {
      int status = 0;
      waitpid(pid, &status, 0);
      killed += WIFSIGNALED(status) != 0;
    }
    expect_consistent();
    for (int c = 0; c < 4; c++)
      for (int n = 0; n < 3; n++)
        ASSERT_TRUE(release(paths_, "net",
                            "r" + std::to_string(round) + "c" + std::to_string(c) + "n" + std::to_string(n), "eth0"));
    ASSERT_EQ(files("leases"), 0u) << "round " << round;
    ASSERT_EQ(files("lease-owners"), 0u) << "round " << round;
  }
  EXPECT_GT(killed, 300);
}

TEST_F(LeaseTest, AFolderThatCannotBeWrittenIsAClearError) {
  paths_.run = "/proc/fairlead-cannot-be-here";  // root passes over modes, but not here
  auto refused = allocate(paths_, request("a"));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().msg.find("/proc/fairlead-cannot-be-here"), std::string::npos);
  EXPECT_TRUE(release(paths_, "net", "a", "eth0")) << "what was never there is released";
}

}  // namespace
}  // namespace fairlead::ipam
