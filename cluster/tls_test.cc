#include "cluster/tls.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <csignal>
#include <thread>

#include <nlohmann/json.hpp>

#include "cluster/encoding.h"
#include "cluster/join_hello.h"

namespace fairlead::cluster {
namespace {

constexpr int kMs = 5000;
// As in every program that uses TLS here: a peer that is gone is an error, not the end.
const auto kIgnored = std::signal(SIGPIPE, SIG_IGN);

std::pair<Fd, Fd> pair_of_sockets() {
  int fds[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
  return {Fd(fds[0]), Fd(fds[1])};
}

struct World {
  StopSignal stop;
  int64_t now = wall_seconds();
  Authority authority = make_authority("c1", "nodes", now).value();
  Token token = make_token(certificate_digest(authority.certificate).value());

  Credentials member(const std::string& role, int64_t at, const Authority& by, int64_t life = 100) const {
    std::string key = make_key().value();
    Issue what{{"c1", role, "n1", 7}, Address::parse("192.0.2.1").value(), role == "manager", at, life};
    return {key + issue_certificate(by, make_request(key).value(), what).value(), authority.certificate};
  }
  std::unique_ptr<TlsServer> server(const Credentials& own) const {
    return TlsServer::make(own,
                           [this](const std::string& id) -> std::optional<std::string> {
                             if (id != token_id(token)) return std::nullopt;
                             return handshake_key(token);
                           })
        .value();
  }
  std::unique_ptr<TlsServer> server() const { return server(member("manager", now, authority)); }
};

// Both ends; the server's first.
template <class Client>
std::pair<Result<Secured>, Result<Secured>> meet(World& world, TlsServer& server, Client client) {
  auto [a, b] = pair_of_sockets();
  Result<Secured> accepted = fail("");
  std::thread thread([&, fd = std::make_shared<Fd>(std::move(a))] {
    accepted = server.accept(std::move(*fd), kMs, world.stop);
    // In TLS 1.3 a client is refused after its own handshake has ended; keep the socket until it has read that.
  });
  Result<Secured> connected = client(std::move(b));
  thread.join();
  return {std::move(accepted), std::move(connected)};
}

auto as_member(World& world, Credentials own, const std::string& cluster = "c1") {
  return [&world, own, cluster](Fd fd) { return secure_member(std::move(fd), own, cluster, kMs, world.stop); };
}
auto with_token(World& world, const Token& token) {
  return [&world, token](Fd fd) { return secure_joiner(std::move(fd), token, kMs, world.stop); };
}

TEST(Tls, AMemberIsKnownByItsCertificate) {
  World world;
  auto server = world.server();
  auto [accepted, connected] = meet(world, *server, as_member(world, world.member("node", world.now, world.authority)));
  ASSERT_TRUE(accepted) << accepted.error().message;
  ASSERT_TRUE(connected) << connected.error().message;
  EXPECT_EQ(to_uri(accepted->certificate->identity), "fairlead://c1/node/n1");
  EXPECT_EQ(accepted->token, "");
  Channel left(std::move(accepted->transport), world.stop), right(std::move(connected->transport), world.stop);
  std::thread echo([&left] {
    auto message = left.receive(kMaxMessage, kMs);
    (void)left.send(**message, kMs);
  });
  auto answer = right.ask({{"text", std::string(1 << 20, 'x')}}, kMs);
  echo.join();
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(text_at(*answer, "text").size(), size_t{1} << 20);
}

TEST(Tls, AHostThatJoinsIsKnownByItsTokenAndBothEndsKnowTheConnection) {
  World world;
  auto server = world.server();
  auto [accepted, connected] = meet(world, *server, with_token(world, world.token));
  ASSERT_TRUE(accepted) << accepted.error().message;
  ASSERT_TRUE(connected) << connected.error().message;
  EXPECT_FALSE(accepted->certificate);
  EXPECT_EQ(accepted->token, token_id(world.token));
  EXPECT_EQ(accepted->binding, connected->binding);
  EXPECT_EQ(accepted->binding.size(), 32u);
}

TEST(Tls, ATokenThatIsNotKnownIsToldFromOneOfAnotherCluster) {
  World world, other;
  auto server = world.server();
  Token unknown = make_token(world.token.root_digest);
  auto [accepted, connected] = meet(world, *server, with_token(world, unknown));
  EXPECT_FALSE(accepted);
  ASSERT_FALSE(connected);
  EXPECT_NE(connected.error().message.find("is not valid there"), std::string::npos) << connected.error().message;
  auto [accepted2, connected2] = meet(world, *server, with_token(world, other.token));
  EXPECT_FALSE(accepted2);
  ASSERT_FALSE(connected2);
  EXPECT_NE(connected2.error().message.find("another cluster"), std::string::npos) << connected2.error().message;
}

TEST(Tls, AnotherAuthoritysMembersDoNotGetIn) {
  World world, other;
  auto server = world.server();
  Credentials foreign = world.member("node", world.now, other.authority);
  EXPECT_FALSE(meet(world, *server, as_member(world, foreign)).first);
  EXPECT_TRUE(meet(world, *server, as_member(world, world.member("node", world.now, world.authority))).first);
}

TEST(Tls, AnExpiredMemberGetsInToRenewButANewbornOfTomorrowDoesNot) {
  World world;
  auto server = world.server();
  auto expired = meet(world, *server, as_member(world, world.member("node", world.now - 1000, world.authority)));
  ASSERT_TRUE(expired.first) << expired.first.error().message;
  EXPECT_LT(expired.first->certificate->not_after, world.now);
  EXPECT_FALSE(meet(world, *server, as_member(world, world.member("node", world.now + 86400, world.authority))).first);
}

TEST(Tls, AMemberTalksToManagersOfItsClusterOnly) {
  World world;
  Credentials own = world.member("node", world.now, world.authority);
  auto node = world.server(world.member("node", world.now, world.authority));
  EXPECT_FALSE(meet(world, *node, as_member(world, own)).second);
  auto server = world.server();
  auto elsewhere = meet(world, *server, as_member(world, own, "c2"));
  ASSERT_FALSE(elsewhere.second);
  EXPECT_NE(elsewhere.second.error().message.find("not a manager of cluster c2"), std::string::npos);
}

TEST(Tls, AManagersExpiredCertificateIsAQuestionOfClocks) {
  World world;
  auto server = world.server(world.member("manager", world.now - 1000, world.authority));
  auto met = meet(world, *server, as_member(world, world.member("node", world.now, world.authority)));
  ASSERT_FALSE(met.second);
  EXPECT_NE(met.second.error().message.find("clock says"), std::string::npos) << met.second.error().message;
}

// Certificates as machines make them whose clocks differ: backdated by an hour, where they live long enough.
TEST(Tls, ClocksTenMinutesApartAreNoReasonTwoHoursAre) {
  World world;
  const int64_t life = int64_t{90} * 86400;
  for (int64_t skew : {-600, 600}) {
    auto server = world.server(world.member("manager", world.now + skew, world.authority, life));
    auto met = meet(world, *server, as_member(world, world.member("node", world.now - skew, world.authority, life)));
    EXPECT_TRUE(met.first && met.second) << skew;
    auto hello = make_hello(world.authority, "c1", "binding", world.now + skew);
    ASSERT_TRUE(hello);
    EXPECT_TRUE(check_hello(*hello, world.token, "binding", world.now));
  }
  auto ahead = world.server(world.member("manager", world.now + 7200, world.authority, life));
  auto met = meet(world, *ahead, as_member(world, world.member("node", world.now, world.authority, life)));
  ASSERT_FALSE(met.second);
  EXPECT_NE(met.second.error().message.find("clock says"), std::string::npos) << met.second.error().message;
  auto joined =
      check_hello(*make_hello(world.authority, "c1", "binding", world.now + 7200), world.token, "binding", world.now);
  ASSERT_FALSE(joined);
  EXPECT_NE(joined.error().message.find("clock is 120 minutes behind"), std::string::npos) << joined.error().message;
}

TEST(Tls, WhileTheAuthorityIsExchangedEverybodyTakesEverybodyAndAfterThatTheOldOneIsNothing) {
  World world;
  Authority next = make_authority("c1", "nodes", world.now).value();
  next.links = cross_sign(world.authority, next.certificate, world.now).value();
  const std::string both = next.certificate + world.authority.certificate;
  auto of = [&](const std::string& role, const Authority& by, const std::string& trusted) {
    Credentials credentials = world.member(role, world.now, by);
    credentials.authorities = trusted;
    return credentials;
  };
  // Before, in the middle of, and at the end of the exchange.
  const std::vector<std::pair<const Authority*, std::string>> kinds{
      {&world.authority, world.authority.certificate}, {&world.authority, both}, {&next, both}};
  for (size_t i = 0; i < kinds.size(); i++) {
    for (size_t k = 0; k < kinds.size(); k++) {
      auto server = world.server(of("manager", *kinds[i].first, kinds[i].second));
      auto met = meet(world, *server, as_member(world, of("node", *kinds[k].first, kinds[k].second)));
      EXPECT_TRUE(met.first) << i << k << met.first.error().message;
      EXPECT_TRUE(met.second) << i << k << met.second.error().message;
      EXPECT_EQ(met.first ? met.first->certificate->issuer : "", authority_id(kinds[k].first->certificate).value());
    }
  }
  auto server = world.server(of("manager", next, next.certificate));
  EXPECT_TRUE(meet(world, *server, as_member(world, of("node", next, both))).first);
  EXPECT_FALSE(meet(world, *server, as_member(world, of("node", world.authority, both))).first);
}

TEST(Tls, AManagerThatCannotLookAtItsTokensSaysSo) {
  World world;
  auto server =
      TlsServer::make(world.member("manager", world.now, world.authority),
                      [](const std::string&) -> Result<std::optional<std::string>> { return fail("no etcd"); })
          .value();
  auto met = meet(world, *server, with_token(world, world.token));
  ASSERT_FALSE(met.second);
  EXPECT_NE(met.second.error().message.find("etcd does not answer"), std::string::npos) << met.second.error().message;
}

TEST(Tls, SilenceAndNoiseEndInTime) {
  World world;
  auto server = world.server();
  auto [a, b] = pair_of_sockets();
  EXPECT_EQ(server->accept(std::move(a), 50, world.stop).error().sys, ETIMEDOUT);
  auto [c, d] = pair_of_sockets();
  const std::string noise = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  ASSERT_EQ(::send(d.get(), noise.data(), noise.size(), MSG_NOSIGNAL), static_cast<ssize_t>(noise.size()));
  EXPECT_FALSE(server->accept(std::move(c), kMs, world.stop));
}

}  // namespace
}  // namespace fairlead::cluster
