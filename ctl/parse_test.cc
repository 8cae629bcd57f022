#include "ctl/parse.h"

#include <gtest/gtest.h>

namespace fairlead::ctl {
namespace {

TEST(ParsePort, TakesPortTargetAndProtocol) {
  auto p = parse_port("80:8080/udp");
  ASSERT_TRUE(p);
  EXPECT_EQ(p->port, 80u);
  EXPECT_EQ(p->target, 8080u);
  EXPECT_EQ(p->protocol, "udp");
  p = parse_port("443");
  ASSERT_TRUE(p);
  EXPECT_EQ(p->port, 443u);
  EXPECT_EQ(p->target, 443u);
  EXPECT_EQ(p->protocol, "tcp");
  EXPECT_EQ(p->published, 0u);
  EXPECT_TRUE(parse_port("65535:1/sctp"));
  p = parse_port("http=80:8080");
  ASSERT_TRUE(p);
  EXPECT_EQ(p->name, "http");
  EXPECT_EQ(p->port, 80u);
}

TEST(ParsePort, RefusesEverythingElseAndQuotesIt) {
  for (const char* text :
       {"",    "0",   "65536", "80:", ":80",  "80:0",  "80:8080:1",   "80/", "80/TCP", "80/icmp", "80/tcp/udp",
        " 80", "80 ", "+80",   "-80", "0x50", "80-81", "99999999999", "=80", "http=",  "a=b=80"}) {
    auto p = parse_port(text);
    ASSERT_FALSE(p) << text;
    EXPECT_NE(p.error().message.find(std::string("--port ") + text + ":"), std::string::npos);
  }
}

TEST(ParsePublication, NeedsBothPorts) {
  auto p = parse_publication("8000:80/udp");
  ASSERT_TRUE(p);
  EXPECT_EQ(p->published, 8000u);
  EXPECT_EQ(p->target, 80u);
  EXPECT_EQ(p->protocol, "udp");
  for (const char* text :
       {"", "8000", "8000:", ":80", "0:80", "8000:0", "8000:80:90", "8000:80/x", "127.0.0.1:8000:80"})
    EXPECT_FALSE(parse_publication(text)) << text;
}

TEST(ParseHealth, TakesTypePortAndPath) {
  auto h = parse_health("tcp:5432");
  ASSERT_TRUE(h);
  EXPECT_EQ(h->type, "tcp");
  EXPECT_EQ(h->port, 5432u);
  h = parse_health("http:8080/healthz?full=1");
  ASSERT_TRUE(h);
  EXPECT_EQ(h->type, "http");
  EXPECT_EQ(h->port, 8080u);
  EXPECT_EQ(h->path, "/healthz?full=1");
  h = parse_health("http/x:y");
  ASSERT_TRUE(h);
  EXPECT_EQ(h->port, 0u);
  EXPECT_EQ(h->path, "/x:y");
  EXPECT_EQ(parse_health("http")->path, "/");
  EXPECT_TRUE(parse_health("tcp"));
}

TEST(ParseHealth, RefusesEverythingElse) {
  for (const char* text :
       {"", "udp:53", "tcp:", "tcp:0", "tcp:70000", "tcp:80/x", "http:x/", "https:443", "TCP:80", ":80"})
    EXPECT_FALSE(parse_health(text)) << text;
}

TEST(ParseWeight, TakesTheLastEqualsSign) {
  auto w = parse_weight("web-1=3");
  ASSERT_TRUE(w);
  EXPECT_EQ(w->first, "web-1");
  EXPECT_EQ(w->second, 3u);
  EXPECT_EQ(parse_weight("fd32::5=0")->first, "fd32::5");
  for (const char* text : {"", "web", "=1", "web=", "web=-1", "web=65536", "web=1.5"})
    EXPECT_FALSE(parse_weight(text)) << text;
}

TEST(ParseOptionDuration, NamesOptionValueAndLimits) {
  EXPECT_EQ(*parse_option_duration("--drain", "10s", 0, 60000), 10000u);
  auto d = parse_option_duration("--drain", "2m", 0, 60000);
  ASSERT_FALSE(d);
  EXPECT_EQ(d.error().message, "--drain 2m: expected a duration from 0s to 60s like 500ms or 10s");
}

TEST(ParseSubnets, ProposesTheSubnetWhenHostBitsAreSet) {
  auto s = parse_subnets({"10.32.5.9/16"});
  ASSERT_FALSE(s);
  EXPECT_NE(s.error().message.find("did you mean 10.32.0.0/16?"), std::string::npos);
  EXPECT_EQ(parse_subnets({"10.32.0.0/16", "fd32::/64"})->size(), 2u);
  EXPECT_FALSE(parse_subnets({"10.32.0.0/16", "10.33.0.0/16"}));
  for (const char* text : {"", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "fd32::/129", "x/8"})
    EXPECT_FALSE(parse_subnets({text})) << text;
}

TEST(ParseVips, AtMostOneOfAFamily) {
  EXPECT_EQ(parse_vips({"10.32.255.1", "fd32::ffff:1"})->size(), 2u);
  EXPECT_FALSE(parse_vips({"10.32.255.1", "10.32.255.2"}));
  EXPECT_FALSE(parse_vips({"10.32.255.1/32"}));
}

}  // namespace
}  // namespace fairlead::ctl
