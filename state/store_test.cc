#include "state/store.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <set>

namespace fairlead {
namespace {

class StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/fairlead-store-test-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    paths_.state = folder_ + "/state";
    paths_.run = folder_ + "/run";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
  Paths paths_;
};

Network named(const std::string& name) {
  Network n;
  n.name = name;
  n.subnets = {*Prefix::parse("10.32.0.0/16")};
  return n;
}

TEST_F(StoreTest, ManyCreatorsOfNetworksGetDistinctNumbersAndOneRecordPerName) {
  std::vector<pid_t> children;
  for (int i = 0; i < 12; i++) {
    pid_t pid = fork();
    if (pid == 0) _exit(create_network(paths_, named("net" + std::to_string(i % 4))) ? 0 : 1);
    children.push_back(pid);
  }
  for (pid_t pid : children) {
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
  }
  auto names = list_documents(paths_.networks());
  ASSERT_EQ(names->size(), 4u);
  std::set<uint32_t> numbers;
  for (const auto& name : *names) numbers.insert((*load_network(paths_, name))->vni);
  EXPECT_EQ(numbers.size(), 4u);
}

TEST_F(StoreTest, AnExistingNetworkIsReturnedAndATakenNumberRefused) {
  Network first = named("a");
  first.vni = 4097;
  ASSERT_TRUE(create_network(paths_, first));
  Network second = named("a");
  second.vni = 5;
  EXPECT_EQ(create_network(paths_, second)->vni, 4097u);
  Network other = named("b");
  other.vni = 4097;
  auto refused = create_network(paths_, other);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("belongs to network a"), std::string::npos);
}

TEST_F(StoreTest, ANameThatIsAPathIsRefusedBeforeAnyFileIsTouched) {
  EXPECT_FALSE(load_network(paths_, "../x"));
  EXPECT_FALSE(load_endpoint(paths_, "a", "../../x", "eth0"));
  EXPECT_FALSE(create_network(paths_, named("a/b")));
  EXPECT_FALSE(std::filesystem::exists(paths_.state));
}

TEST_F(StoreTest, AnEndpointComesBackAsItWasWritten) {
  Endpoint e;
  e.network = "a";
  e.container = "c1";
  e.ifname = "eth0";
  e.addresses = {*Address::parse("10.32.0.2")};
  ASSERT_TRUE(save(paths_, e));
  auto back = load_endpoint(paths_, "a", "c1", "eth0");
  ASSERT_TRUE(back && *back);
  EXPECT_EQ(encode(**back), encode(e));
  EXPECT_TRUE(*remove_endpoint(paths_, "a", "c1", "eth0"));
  EXPECT_FALSE(*remove_endpoint(paths_, "a", "c1", "eth0"));
}

TEST_F(StoreTest, ManyCreatorsWithoutSubnetsGetDistinctOnesAwayFromWhatIsTaken) {
  SubnetChoice choice{{*Prefix::parse("10.64.16.0/20")}, true};
  std::vector<pid_t> children;
  for (int i = 0; i < 8; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      Network network;
      network.name = "net" + std::to_string(i);
      bool created = false;
      _exit(create_network(paths_, network, choice, &created) && created ? 0 : 1);
    }
    children.push_back(pid);
  }
  for (pid_t pid : children) {
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
  }
  std::vector<Prefix> seen = choice.taken;
  for (int i = 0; i < 8; i++) {
    auto network = *load_network(paths_, "net" + std::to_string(i));
    ASSERT_EQ(network->subnets.size(), 2u);
    for (const auto& subnet : network->subnets) {
      for (const auto& other : seen) EXPECT_FALSE(subnet.overlaps(other)) << subnet.to_string();
      seen.push_back(subnet);
    }
  }
}

}  // namespace
}  // namespace fairlead
