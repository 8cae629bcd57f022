#include "dns-sidecar/resolv_conf.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace fairlead::dns {
namespace {

std::vector<std::string> texts(const std::vector<ServerAddress>& servers) {
  std::vector<std::string> out;
  for (const auto& s : servers) out.push_back(s.to_string());
  return out;
}

TEST(ResolvConfText, TakesNameserverLinesAndNothingElse) {
  EXPECT_EQ(texts(parse_resolv_conf("# nameserver 1.1.1.1\n; nameserver 1.1.1.2\nsearch nameserver 1.1.1.3\n"
                                    "nameserver 192.0.2.1\r\nnameserver\t192.0.2.2   # why\nnameserver 192.0.2.1\n"
                                    "nameserver nonsense\nnameserver\nnameservers 1.1.1.4\n nameserver 1.1.1.5\n"
                                    "nameserver 2001:db8::1\nnameserver fe80::1%eth0\nnameserver fe80::1%\n"
                                    "nameserver 1.2.3.4%eth0\nnameserver 192.0.2.9")),
            (std::vector<std::string>{"192.0.2.1", "192.0.2.2", "2001:db8::1", "fe80::1%eth0", "192.0.2.9"}));
  EXPECT_TRUE(parse_resolv_conf("").empty());
  EXPECT_TRUE(parse_resolv_conf(std::string(100000, 'n')).empty());
}

class ResolvConfFile : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/fairlead-resolv-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& name, const std::string& text) { std::ofstream(folder_ + "/" + name) << text; }
  std::string folder_;
};

TEST_F(ResolvConfFile, FollowsLinksThatAreSwappedAndFilesThatVanish) {
  std::filesystem::create_directory(folder_ + "/run");
  write("run/a", "nameserver 192.0.2.1\n");
  write("run/b", "nameserver 192.0.2.2\n");
  ASSERT_EQ(symlink("run/a", (folder_ + "/resolv.conf").c_str()), 0);
  auto conf = ResolvConf::open(folder_ + "/resolv.conf");
  ASSERT_TRUE(conf);
  EXPECT_EQ(texts(conf->servers()), std::vector<std::string>{"192.0.2.1"});
  EXPECT_FALSE(conf->refresh());
  ASSERT_EQ(symlink("run/b", (folder_ + "/new").c_str()), 0);
  std::filesystem::rename(folder_ + "/new", folder_ + "/resolv.conf");
  EXPECT_TRUE(conf->refresh());
  EXPECT_EQ(texts(conf->servers()), std::vector<std::string>{"192.0.2.2"});
  write("run/b", "nameserver 192.0.2.3\nnameserver 192.0.2.4\n");
  EXPECT_TRUE(conf->refresh());
  EXPECT_EQ(conf->servers().size(), 2u);
  std::filesystem::remove(folder_ + "/run/b");
  EXPECT_TRUE(conf->refresh());
  EXPECT_TRUE(conf->servers().empty());
}

TEST_F(ResolvConfFile, ALinkToItselfIsAnEmptyFile) {
  ASSERT_EQ(symlink("loop", (folder_ + "/loop").c_str()), 0);
  auto conf = ResolvConf::open(folder_ + "/loop");
  ASSERT_TRUE(conf);
  EXPECT_TRUE(conf->servers().empty());
}

}  // namespace
}  // namespace fairlead::dns
