#include "cluster/channel.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>
#include <thread>

#include <nlohmann/json.hpp>

namespace fairlead::cluster {
namespace {

constexpr int kMs = 5000;

struct Pair {
  Pair() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    raw.reset(fds[0]);
    channel = std::make_unique<Channel>(plain_transport(Fd(fds[1])), stop);
  }
  void write(const std::string& bytes) {
    EXPECT_EQ(::send(raw.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  StopSignal stop;
  Fd raw;
  std::unique_ptr<Channel> channel;
};

std::string framed(const std::string& body) {
  std::string text(4, '\0');
  text[2] = static_cast<char>(body.size() >> 8);
  text[3] = static_cast<char>(body.size());
  return text + body;
}

TEST(Channel, ReadsOneMessageAfterAnother) {
  Pair pair;
  pair.write(framed(R"({"a":1})") + framed(R"({"a":2})"));
  EXPECT_EQ(number_at(**pair.channel->receive(100, kMs), "a"), 1);
  EXPECT_EQ(number_at(**pair.channel->receive(100, kMs), "a"), 2);
  pair.raw.reset();
  auto end = pair.channel->receive(100, kMs);
  ASSERT_TRUE(end);
  EXPECT_FALSE(*end);
}

TEST(Channel, AMessageThatIsTooLongIsNotRead) {
  Pair pair;
  pair.write(std::string("\xff\xff\xff\xff", 4));
  EXPECT_EQ(pair.channel->receive(100, kMs).error().sys, EMSGSIZE);
}

TEST(Channel, RefusesWhatIsNoObject) {
  for (const char* bad : {"", "7", "[]", "{", "{\"a\":1,\"a\":2}", "null", "\xff"}) {
    Pair pair;
    pair.write(framed(bad));
    EXPECT_FALSE(pair.channel->receive(100, kMs)) << bad;
  }
  std::string deep = R"({"a":)" + std::string(100, '[') + std::string(100, ']') + "}";
  Pair pair;
  pair.write(framed(deep));
  EXPECT_FALSE(pair.channel->receive(1000, kMs));
}

TEST(Channel, AMessageThatIsCutOffIsAnError) {
  Pair pair;
  pair.write(framed(R"({"a":1})").substr(0, 6));
  pair.raw.reset();
  EXPECT_EQ(pair.channel->receive(100, kMs).error().sys, ECONNRESET);
}

TEST(Channel, WaitsNoLongerThanItShouldAndNotAfterItWasStopped) {
  Pair pair;
  pair.write(framed(R"({"a":1})").substr(0, 6));
  EXPECT_EQ(pair.channel->receive(100, 20).error().sys, ETIMEDOUT);
  Pair other;
  std::thread stopper([&] { other.stop.set(); });
  EXPECT_EQ(other.channel->receive(100, 60000).error().sys, ECANCELED);
  stopper.join();
}

TEST(Channel, AnAnswerWithAnErrorIsThatError) {
  Pair pair;
  pair.write(framed(R"({"error":"no","errno":13})"));
  auto answer = pair.channel->ask(Json::object(), kMs);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().message, "no");
  EXPECT_EQ(answer.error().sys, EACCES);
}

TEST(Channel, ATimeCanBeCalculatedWithWhateverIsSaid) {
  EXPECT_EQ(time_at({{"time", INT64_MIN}}, "time"), 0);
  EXPECT_EQ(time_at({{"time", INT64_MAX}}, "time"), int64_t{1} << 52);
  EXPECT_EQ(time_at({{"time", 1790000000}}, "time"), 1790000000);
  EXPECT_EQ(time_at(Json::object(), "time", 7), 7);
}

TEST(Channel, FieldsOfTheWrongTypeAreAbsent) {
  Json json = Json::parse(R"({"text":7,"number":"7","flag":1,"float":1.5})");
  EXPECT_EQ(text_at(json, "text"), "");
  EXPECT_EQ(number_at(json, "number", 3), 3);
  EXPECT_EQ(number_at(json, "float", 3), 3);
  EXPECT_FALSE(flag_at(json, "flag"));
}

}  // namespace
}  // namespace fairlead::cluster
