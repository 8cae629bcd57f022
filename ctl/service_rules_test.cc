#include "ctl/service_rules.h"

#include <gtest/gtest.h>

namespace fairlead::ctl {
namespace {

Network appnet() {
  Network n;
  n.name = "appnet";
  n.vni = 4097;
  n.subnets = {*Prefix::parse("10.32.0.0/16"), *Prefix::parse("fd32::/64")};
  return n;
}

Service service(const std::string& name, const std::vector<const char*>& vips, uint32_t published = 0) {
  Service s;
  s.network = "appnet";
  s.name = name;
  for (const char* vip : vips) s.vips.push_back(*Address::parse(vip));
  ServicePort port;
  port.port = port.target = 80;
  port.published = published;
  s.ports.push_back(port);
  return s;
}

TEST(ServiceRules, AVipBelongsToThePoolAndToOneServiceOfTheNetwork) {
  Service web = service("web", {"10.32.255.1", "fd32::ffff:1"});
  EXPECT_TRUE(check_vips(web, appnet(), {web, service("db", {"10.32.255.2"})}));
  auto taken = check_vips(web, appnet(), {service("db", {"10.32.255.1"})});
  ASSERT_FALSE(taken);
  EXPECT_NE(taken.error().message.find("service db of network appnet"), std::string::npos);
  Service elsewhere = service("db", {"10.32.255.1"});
  elsewhere.network = "other";  // two networks may use the same addresses
  EXPECT_TRUE(check_vips(web, appnet(), {elsewhere}));
}

TEST(ServiceRules, AVipOutsideThePoolIsRefused) {
  for (const char* vip : {"10.32.0.1", "10.32.254.255", "1.1.1.1", "127.0.0.1", "169.254.169.254", "fd32::1",
                          "fd33::ffff:1", "10.32.255.255"})
    EXPECT_FALSE(check_vips(service("web", {vip}), appnet(), {})) << vip;
  Network v4 = appnet();
  v4.subnets.resize(1);
  EXPECT_FALSE(check_vips(service("web", {"fd32::ffff:1"}), v4, {}));
}

TEST(ServiceRules, GivesVipsThatPassTheRulesAndOnlyToServicesThatWantThem) {
  Service web = service("web", {});
  ASSERT_TRUE(give_vips(web, appnet(), {}));
  EXPECT_EQ(web.vips.size(), 2u);
  EXPECT_TRUE(check_vips(web, appnet(), {}));
  Service other = service("other", {});
  other.vips = web.vips;
  Service again = service("web", {});
  ASSERT_TRUE(give_vips(again, appnet(), {other}));
  EXPECT_NE(again.vips, web.vips);
  EXPECT_TRUE(check_vips(again, appnet(), {other}));
  Service rr = service("rr", {});
  rr.endpoint_mode = "dnsrr";
  ASSERT_TRUE(give_vips(rr, appnet(), {}));
  EXPECT_TRUE(rr.vips.empty());
  Service fixed = service("fixed", {"10.32.255.9"});
  ASSERT_TRUE(give_vips(fixed, appnet(), {}));
  EXPECT_EQ(fixed.vips.size(), 1u);
}

TEST(ServiceRules, APublishedPortBelongsToOneServiceOfAnyNetwork) {
  Service web = service("web", {}, 8000);
  Service other = service("db", {}, 8000);
  other.network = "other";
  auto refused = check_published(web, {web, other}, {});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("service db of network other"), std::string::npos);
  other.ports[0].protocol = "udp";
  EXPECT_TRUE(check_published(web, {web, other}, {}));
  web.ports.push_back(web.ports[0]);
  EXPECT_FALSE(check_published(web, {}, {}));
}

TEST(ServiceRules, APublishedPortIsNotOneAContainerWasStartedWith) {
  Endpoint endpoint;
  endpoint.network = "appnet";
  endpoint.container = "3f9c";
  endpoint.port_mappings.push_back({"tcp", 8000, 80, ""});
  EXPECT_FALSE(check_published(service("web", {}, 8000), {}, {endpoint}));
  EXPECT_TRUE(check_published(service("web", {}, 8001), {}, {endpoint}));
}

}  // namespace
}  // namespace fairlead::ctl
