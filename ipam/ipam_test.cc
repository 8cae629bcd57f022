#include "ipam/ipam.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "ipam/config.h"
#include "state/store.h"

namespace fairlead::ipam {
namespace {

namespace fs = std::filesystem;

class IpamTest : public testing::Test {
 protected:
  IpamTest() {
    char name[] = "/tmp/ipam-test-XXXXXX";
    folder_ = mkdtemp(name);
    paths_.run = folder_ + "/run";
    paths_.state = folder_ + "/state";
    network_.name = "net";
    network_.subnets = {*Prefix::parse("10.5.0.0/24"), *Prefix::parse("fd05::/64")};
  }
  ~IpamTest() override { fs::remove_all(folder_); }

  static cni::Request request(const std::string& text, const std::string& container = "c1") {
    cni::Request r;
    r.command = "ADD";
    r.container = container;
    r.ifname = "eth0";
    r.conf = std::make_shared<const Json>(Json::parse(text));
    r.name = (*r.conf)["name"];
    r.version = r.conf->value("cniVersion", "1.0.0");
    return r;
  }
  static std::vector<std::string> addresses(const cni::AddResult& result) {
    std::vector<std::string> texts;
    for (const auto& ip : result.ips) texts.push_back(ip.address.to_string());
    return texts;
  }
  std::vector<std::string> add_ok(const cni::Request& r, const Network* network = nullptr) {
    auto result = add(paths_, r, network);
    EXPECT_TRUE(result) << result.error().msg;
    return result ? addresses(*result) : std::vector<std::string>();
  }
  cni::CniError add_error(const cni::Request& r, const Network* network = nullptr) {
    auto result = add(paths_, r, network);
    EXPECT_FALSE(result);
    return result ? cni::CniError(0, "") : result.error();
  }

  Paths paths_;
  std::string folder_;
  Network network_;
};
using Texts = std::vector<std::string>;

TEST_F(IpamTest, TakesItsSubnetsFromTheNetwork) {
  auto result = add(paths_, request(R"({"name":"net","ipam":{}})"), &network_);
  ASSERT_TRUE(result) << result.error().msg;
  EXPECT_EQ(addresses(*result), (Texts{"10.5.0.2/24", "fd05::2/64"}));
  EXPECT_EQ(result->ips[0].gateway->to_string(), "10.5.0.1");
  ASSERT_EQ(result->routes.size(), 2u);
  EXPECT_EQ(result->routes[1].destination.to_string(), "::/0");
  EXPECT_TRUE(result->interfaces.empty());
}

TEST_F(IpamTest, AnInternalNetworkHasNoDefaultRoute) {
  network_.internal = true;
  auto result = add(paths_, request(R"({"name":"net"})"), &network_);
  ASSERT_TRUE(result) << result.error().msg;
  EXPECT_TRUE(result->routes.empty());
}

TEST_F(IpamTest, ReadsTheNetworksDocumentWhenItIsNotGiven) {
  EXPECT_NE(add_error(request(R"({"name":"net","ipam":{}})")).msg.find("there is no network net"), std::string::npos);
  ASSERT_TRUE(create_network(paths_, network_));
  EXPECT_EQ(add_ok(request(R"({"name":"x","network":"net","ipam":{}})")), (Texts{"10.5.0.2/24", "fd05::2/64"}));
  EXPECT_EQ(leases_of(paths_, "net", "c1", "eth0")->size(), 2u);
}

TEST_F(IpamTest, NeverGivesAVipNorTheGateway) {
  auto pool = network_.vip_pool(AF_INET);
  ASSERT_TRUE(pool);
  for (int i = 0; i < 300; i++) {
    auto result = add(paths_, request(R"({"name":"net"})", "c" + std::to_string(i)), &network_);
    if (!result) {
      EXPECT_EQ(i, 238) << result.error().msg;  // .2 to .239; the pool begins at .240
      EXPECT_EQ(result.error().code, cni::kTryAgainLater);
      auto full = status(paths_, request(R"({"name":"net"})"), &network_);
      ASSERT_FALSE(full);
      EXPECT_EQ(full.error().code, cni::kNotAvailable);
      return;
    }
    EXPECT_FALSE(pool->contains(result->ips[0].address.address));
    EXPECT_NE(result->ips[0].address.address, *network_.gateway(AF_INET));
  }
  FAIL() << "the subnet has no end";
}

TEST_F(IpamTest, ARequestedVipOrGatewayIsRefusedWithTheReason) {
  auto wish = [&](const std::string& ip) {
    return request(R"({"name":"net","runtimeConfig":{"ips":[")" + ip + "\"]}}");
  };
  EXPECT_NE(add_error(wish("10.5.0.241"), &network_).msg.find("kept for VIPs"), std::string::npos);
  EXPECT_NE(add_error(wish("10.5.0.1"), &network_).msg.find("is the gateway"), std::string::npos);
  EXPECT_NE(add_error(wish("fd05::ffff:3"), &network_).msg.find("kept for VIPs"), std::string::npos);
  EXPECT_NE(add_error(wish("10.6.0.7"), &network_).msg.find("is outside 10.5.0.0/24"), std::string::npos);
  EXPECT_EQ(add_ok(wish("10.5.0.7/24"), &network_), (Texts{"10.5.0.7/24", "fd05::2/64"}));
}

TEST_F(IpamTest, HostLocalsKeysGoBeforeTheNetwork) {
  EXPECT_EQ(
      add_ok(request(R"({"name":"n","ipam":{"subnet":"10.9.0.0/16","rangeStart":"10.9.1.5","gateway":"10.9.1.5"}})")),
      Texts{"10.9.1.6/16"});
  EXPECT_EQ(add_ok(request(R"({"name":"m","ipam":{"ranges":[[{"subnet":"10.9.0.0/24","rangeEnd":"10.9.0.2"},
      {"subnet":"10.9.1.0/24"}],[{"subnet":"fd09::/64"}]]}})")),
            (Texts{"10.9.0.2/24", "fd09::2/64"}));
}

TEST_F(IpamTest, RoutesKeepTheirAttributes) {
  auto result = add(paths_, request(R"({"name":"n","ipam":{"subnet":"10.9.0.0/16",
      "routes":[{"dst":"0.0.0.0/0"},{"dst":"192.0.2.0/24","gw":"10.9.0.9","mtu":1400}]}})"));
  ASSERT_TRUE(result) << result.error().msg;
  ASSERT_EQ(result->routes.size(), 2u);
  EXPECT_EQ(result->routes[1].gateway->to_string(), "10.9.0.9");
  EXPECT_EQ(result->routes[1].mtu, 1400u);
}

TEST_F(IpamTest, RefusesBadRangesWithThePlace) {
  auto error_of = [&](const std::string& ipam) {
    auto error = add_error(request(R"({"name":"n","ipam":)" + ipam + "}"));
    EXPECT_EQ(error.code, cni::kInvalidConfig) << ipam;
    return error.msg;
  };
  EXPECT_NE(error_of(R"({"subnet":"10.9.0.0/31"})").find("too small"), std::string::npos);
  EXPECT_NE(error_of(R"({"subnet":"10.9.0.7/16"})").find("host bits"), std::string::npos);
  EXPECT_NE(error_of(R"({"ranges":[[{"subnet":"x"}]]})").find("/ipam/ranges/0/0/subnet"), std::string::npos);
  EXPECT_NE(error_of(R"({"ranges":[[{"subnet":"10.9.0.0/24"}],[{"subnet":"10.9.0.0/25"}]]})").find("overlap"),
            std::string::npos);
  EXPECT_NE(error_of(R"({"ranges":[{"subnet":"10.9.0.0/24"}]})").find("/ipam/ranges/0"), std::string::npos);
  EXPECT_NE(error_of(R"({"ranges":[[]]})").find("/ipam/ranges/0"), std::string::npos);
  EXPECT_NE(error_of(R"({"subnet":"10.9.0.0/16","rangeStart":7})").find("rangeStart"), std::string::npos);
  EXPECT_NE(error_of(R"({"subnet":"10.9.0.0/16","routes":[{"dst":"x"}]})").find("/routes/0/dst"), std::string::npos);
}

TEST_F(IpamTest, OldVersionsTakeOneAddressPerFamily) {
  const std::string two = R"("ipam":{"ranges":[[{"subnet":"10.9.0.0/24"}],[{"subnet":"10.9.1.0/24"}]]}})";
  EXPECT_EQ(add_error(request(R"({"cniVersion":"0.2.0","name":"n",)" + two)).code, cni::kInvalidConfig);
  EXPECT_EQ(add_ok(request(R"({"cniVersion":"0.3.0","name":"n",)" + two)).size(), 2u);
}

TEST_F(IpamTest, CNI_067_IpRangesNarrowANetworkAndNeverLeaveIt) {
  EXPECT_EQ(
      add_ok(
          request(
              R"({"name":"net","runtimeConfig":{"ipRanges":[[{"subnet":"10.5.0.0/24","rangeStart":"10.5.0.100"}]]}})"),
          &network_),
      (Texts{"10.5.0.100/24", "fd05::2/64"}));
  EXPECT_EQ(add_ok(request(R"({"name":"net","runtimeConfig":{"ipRanges":[[{"subnet":"10.5.0.64/28"}]]}})", "c2"),
                   &network_)[0],
            "10.5.0.65/24");
  EXPECT_EQ(
      add_error(request(R"({"name":"net","runtimeConfig":{"ipRanges":[[{"subnet":"10.6.0.0/24"}]]}})", "c3"), &network_)
          .code,
      cni::kInvalidConfig);
}

class IpamGcTest : public IpamTest {
 protected:
  // An attachment as old as GC wants it, in a namespace that is at its path or is not.
  void attach(const std::string& netns, bool by_fairlead = false) {
    auto r = request(R"({"name":"net"})");
    r.netns = netns;
    const Texts names;
    ASSERT_TRUE(add(paths_, r, &network_, by_fairlead ? &names : nullptr));
    std::filesystem::last_write_time(paths_.run + "/lease-owners/net/c1@eth0",
                                     std::filesystem::file_time_type::clock::now() - std::chrono::minutes(1));
  }
  size_t leases() { return leases_of(paths_, "net", "c1", "eth0")->size(); }
  const std::string none_ = R"({"name":"net","cni.dev/valid-attachments":[]})";
};

TEST_F(IpamGcTest, WithoutAListReleasesNothingAndWithAnEmptyOneWhatIsDead) {
  attach("/run/netns/there is none");
  EXPECT_TRUE(gc(paths_, request(R"({"name":"net"})")));
  EXPECT_EQ(leases(), 2u);
  EXPECT_TRUE(check(paths_, request(R"({"name":"net"})")));
  EXPECT_TRUE(gc(paths_, request(none_)));
  EXPECT_EQ(leases(), 0u);
  EXPECT_FALSE(check(paths_, request(R"({"name":"net"})")));
}

TEST_F(IpamGcTest, KeepsWhatIsListedWhatLivesAndWhatFairleadAskedFor) {
  attach("/run/netns/there is none");
  EXPECT_TRUE(
      gc(paths_, request(R"({"name":"net","cni.dev/valid-attachments":[{"containerID":"c1","ifname":"eth0"}]})")));
  EXPECT_EQ(leases(), 2u) << "listed";
  EXPECT_TRUE(release(paths_, "net", "c1", "eth0"));
  attach("/proc/self/ns/net");
  EXPECT_TRUE(gc(paths_, request(none_)));
  EXPECT_EQ(leases(), 2u) << "its namespace is there";
  EXPECT_TRUE(release(paths_, "net", "c1", "eth0"));
  attach("/run/netns/there is none", true);
  EXPECT_TRUE(gc(paths_, request(none_)));
  EXPECT_EQ(leases(), 2u) << "the router knows whether it lives, and fairlead's own GC asks it";
}

TEST_F(IpamGcTest, KeepsWhatIsYoungerThanTheGraceTime) {
  auto r = request(R"({"name":"net"})");
  r.netns = "/run/netns/there is none";
  ASSERT_TRUE(add(paths_, r, &network_));
  EXPECT_TRUE(gc(paths_, request(none_)));
  EXPECT_EQ(leases(), 2u);
}

}  // namespace
}  // namespace fairlead::ipam
