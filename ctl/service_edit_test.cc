#include "ctl/service_edit.h"

#include <gtest/gtest.h>

namespace fairlead::ctl {
namespace {

using Texts = std::vector<std::string>;

Result<void> change(Service& service, ServiceArguments arguments) {
  arguments.network = "appnet";
  arguments.name = "web";
  auto options = parse(arguments);
  if (!options) return fail(options.error());
  return apply(*options, service);
}

Service made(ServiceArguments arguments) {
  Service service;
  auto done = change(service, std::move(arguments));
  EXPECT_TRUE(done) << done.error().message;
  return service;
}

TEST(ServiceEdit, CreatesWithDefaults) {
  Service s = made({.ports = Texts{"80:8080"}});
  EXPECT_EQ(s.network, "appnet");
  EXPECT_EQ(s.name, "web");
  EXPECT_EQ(s.endpoint_mode, "vip");
  EXPECT_EQ(s.scheduler, "rr");
  EXPECT_FALSE(s.health);
  ASSERT_EQ(s.ports.size(), 1u);
  EXPECT_EQ(s.ports[0].target, 8080u);
}

TEST(ServiceEdit, APublicationMeansTheContainersPortOrThePortOnTheVip) {
  EXPECT_EQ(made({.ports = Texts{"80:8080"}, .publications = Texts{"8000:8080"}}).ports[0].published, 8000u);
  EXPECT_EQ(made({.ports = Texts{"80:8080"}, .publications = Texts{"8000:80"}}).ports[0].published, 8000u);
  Service udp = made({.ports = Texts{"53/tcp", "53/udp"}, .publications = Texts{"5353:53/udp"}});
  EXPECT_EQ(udp.ports[0].published, 0u);
  EXPECT_EQ(udp.ports[1].published, 5353u);
}

TEST(ServiceEdit, APublicationWithoutAPortMakesOne) {
  Service s = made({.publications = Texts{"8000:80"}, .publish_mode = "host"});
  ASSERT_EQ(s.ports.size(), 1u);
  EXPECT_EQ(s.ports[0].port, 80u);
  EXPECT_EQ(s.ports[0].target, 80u);
  EXPECT_EQ(s.ports[0].published, 8000u);
  EXPECT_EQ(s.ports[0].publish_mode, "host");
}

TEST(ServiceEdit, RefusesAPublicationThatCouldMeanTwoPorts) {
  Service s;
  auto done = change(s, {.ports = Texts{"80:8080", "8080:9090"}, .publications = Texts{"8000:8080"}});
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("8080/tcp"), std::string::npos);
  EXPECT_FALSE(change(s, {.ports = Texts{"80"}, .publications = Texts{"8000:80", "8001:80"}}));
}

TEST(ServiceEdit, AnUpdateChangesOnlyWhatIsGiven) {
  Service s = made({.ports = Texts{"80:8080"},
                    .publications = Texts{"8000:80"},
                    .weights = Texts{"web-1=3"},
                    .scheduler = "wrr",
                    .affinity = "10m",
                    .health = "http:8080/healthz",
                    .health_interval = "200ms"});
  Service before = s;
  ASSERT_TRUE(change(s, {.drain = "1s", .unhealthy_after = 5}));
  EXPECT_EQ(s.drain_ms, 1000u);
  EXPECT_EQ(s.health->unhealthy_after, 5u);
  EXPECT_EQ(s.health->interval_ms, 200u);
  EXPECT_EQ(s.affinity_seconds, 600u);
  EXPECT_EQ(s.scheduler, "wrr");
  EXPECT_EQ(s.ports[0].published, before.ports[0].published);
  ASSERT_TRUE(change(s, {.weights = Texts{"web-2=0", "web-1=1"}, .health = "tcp:80"}));
  EXPECT_EQ(s.weights, (std::vector<std::pair<std::string, uint32_t>>{{"web-1", 1}, {"web-2", 0}}));
  EXPECT_EQ(s.health->type, "tcp");
  EXPECT_EQ(s.health->interval_ms, 200u);
}

TEST(ServiceEdit, PortsAreReplacedAndThoseThatStayKeepTheirPublication) {
  Service s = made({.ports = Texts{"80", "443"}, .publications = Texts{"8000:80", "8443:443"}});
  ASSERT_TRUE(change(s, {.ports = Texts{"80:8080", "90"}}));
  ASSERT_EQ(s.ports.size(), 2u);
  EXPECT_EQ(s.ports[0].target, 8080u);
  EXPECT_EQ(s.ports[0].published, 8000u);
  EXPECT_EQ(s.ports[1].published, 0u);
}

TEST(ServiceEdit, TheWordNoneEmpties) {
  Service s =
      made({.ports = Texts{"80"}, .publications = Texts{"8000:80"}, .http_hosts = Texts{"a.example"}, .health = "tcp"});
  ASSERT_TRUE(change(s, {.publications = Texts{"none"}, .http_hosts = Texts{"none"}, .health = "none"}));
  EXPECT_EQ(s.ports.size(), 1u);
  EXPECT_EQ(s.ports[0].published, 0u);
  EXPECT_TRUE(s.http_hosts.empty());
  EXPECT_FALSE(s.health);
  ASSERT_TRUE(change(s, {.ports = Texts{"none"}}));
  EXPECT_TRUE(s.ports.empty());
}

TEST(ServiceEdit, DnsrrHasNoVip) {
  Service s = made({.vips = Texts{"10.32.255.1"}});
  ASSERT_TRUE(change(s, {.endpoint_mode = "dnsrr"}));
  EXPECT_TRUE(s.vips.empty());
  EXPECT_FALSE(change(s, {.vips = Texts{"10.32.255.1"}}));
  EXPECT_FALSE(change(s, {.vips = Texts{"10.32.255.1"}, .endpoint_mode = "dnsrr"}));
  EXPECT_TRUE(change(s, {.vips = Texts{"10.32.255.1"}, .endpoint_mode = "vip"}));
}

TEST(ServiceEdit, RefusesAffinityOfPartsOfASecondAndARhythmWithoutACheck) {
  Service s;
  EXPECT_FALSE(change(s, {.affinity = "1500ms"}));
  EXPECT_FALSE(change(s, {.health_interval = "1s"}));
  EXPECT_FALSE(change(s, {.health = "none", .unhealthy_after = 1}));
}

}  // namespace
}  // namespace fairlead::ctl
