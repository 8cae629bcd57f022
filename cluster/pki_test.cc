#include "cluster/pki.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cluster/encoding.h"
#include "cluster/join_hello.h"
#include "cluster/net.h"

namespace fairlead::cluster {
namespace {

struct Made {
  Authority authority;
  std::string key, certificate;
};

Made make(int64_t now, int64_t seconds, const std::string& role = "node") {
  Made made;
  made.authority = make_authority("c1", "nodes", now).value();
  made.key = make_key().value();
  Issue what{{"c1", role, "n1", 7}, Address::parse("192.0.2.1").value(), role == "manager", now, seconds};
  made.certificate = issue_certificate(made.authority, make_request(made.key).value(), what).value();
  return made;
}

TEST(Pki, ACertificateSaysWhoItIsFor) {
  Made made = make(1000000, 100);
  auto info = inspect_certificate(made.certificate);
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(to_uri(info->identity), "fairlead://c1/node/n1");
  EXPECT_EQ(info->identity.number, 7u);
  EXPECT_EQ(info->not_before, 1000000 - 10);
  EXPECT_EQ(info->not_after, 1000000 + 100);
}

TEST(Pki, IsBackdatedByAnHourAtMost) {
  EXPECT_EQ(inspect_certificate(make(1000000, 90 * 86400).certificate)->not_before, 1000000 - 3600);
  EXPECT_EQ(inspect_certificate(make(1000000, 2).certificate)->not_before, 1000000 - 1);
}

TEST(Pki, AnAuthorityIsNoMember) {
  EXPECT_FALSE(inspect_certificate(make_authority("c1", "nodes", 1000000)->certificate));
}

TEST(Pki, RefusesRequestsThatAreNone) {
  Authority authority = make_authority("c1", "nodes", 1000000).value();
  std::string request = make_request(make_key().value()).value();
  std::string broken = request;
  broken[broken.size() / 2] = broken[broken.size() / 2] == 'A' ? 'B' : 'A';
  for (const std::string& bad : {std::string(), std::string("x"), broken, request.substr(0, request.size() / 2)})
    EXPECT_FALSE(issue_certificate(authority, bad, {{"c1", "node", "n1", 7}, {}, false, 1000000, 100}));
}

TEST(Pki, RenewalIsBetweenHalfAndFourFifthsOfTheLife) {
  CertificateInfo info{{}, 1000, 2000};
  EXPECT_EQ(renewal_time(info, 0), 1500);
  EXPECT_EQ(renewal_time(info, 1), 1800);
}

TEST(Pki, SignaturesAreOfOneKeyAndOneText) {
  Authority a = make_authority("c1", "nodes", 1000000).value(), b = make_authority("c1", "nodes", 1000000).value();
  std::string signature = sign(a.key, "text").value();
  EXPECT_TRUE(verify_signature(a.certificate, "text", signature).value());
  EXPECT_FALSE(verify_signature(a.certificate, "texT", signature).value());
  EXPECT_FALSE(verify_signature(b.certificate, "text", signature).value());
  EXPECT_FALSE(verify_signature(a.certificate, "text", "").value());
}

TEST(JoinHello, IsBelievedOnlyOfTheAuthorityOfTheTokenOnThisConnection) {
  Authority a = make_authority("c1", "nodes", 1000000).value(), b = make_authority("c1", "nodes", 1000000).value();
  Token token = make_token(certificate_digest(a.certificate).value());
  Json hello = make_hello(a, "c1", "binding", 1000000).value();
  EXPECT_TRUE(check_hello(hello, token, "binding", 1000000));
  EXPECT_FALSE(check_hello(hello, token, "another", 1000000));
  EXPECT_FALSE(check_hello(make_hello(b, "c1", "binding", 1000000).value(), token, "binding", 1000000));
  Authority thief{a.certificate, b.key};
  EXPECT_FALSE(check_hello(make_hello(thief, "c1", "binding", 1000000).value(), token, "binding", 1000000));
}

TEST(JoinHello, AClockThatIsFarOffIsNamed) {
  Authority a = make_authority("c1", "nodes", 1000000).value();
  Token token = make_token(certificate_digest(a.certificate).value());
  Json hello = make_hello(a, "c1", "b", 1000000).value();
  EXPECT_TRUE(check_hello(hello, token, "b", 1000000 + 600));
  auto ahead = check_hello(hello, token, "b", 1000000 + 7200);
  ASSERT_FALSE(ahead);
  EXPECT_NE(ahead.error().message.find("120 minutes ahead"), std::string::npos) << ahead.error().message;
  EXPECT_FALSE(check_hello(hello, token, "b", 1000000 - 7200));
}

TEST(HostPort, IsAnAddressWithOrWithoutPort) {
  EXPECT_EQ(to_text(parse_host_port("192.0.2.1").value()), "192.0.2.1:7310");
  EXPECT_EQ(to_text(parse_host_port("192.0.2.1:99").value()), "192.0.2.1:99");
  EXPECT_EQ(to_text(parse_host_port("2001:db8::1").value()), "[2001:db8::1]:7310");
  EXPECT_EQ(to_text(parse_host_port("[2001:db8::1]:99").value()), "[2001:db8::1]:99");
  for (const char* bad : {"", "host", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65535", "192.0.2.1:9x", "[2001:db8::1",
                          "[2001:db8::1]x", "192.0.2.1:99:99"})
    EXPECT_FALSE(parse_host_port(bad)) << bad;
}

}  // namespace
}  // namespace fairlead::cluster
