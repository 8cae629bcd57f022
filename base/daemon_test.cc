#include "base/daemon.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace fairlead {
namespace {

class DaemonTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/fairlead-daemon-test-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    socket_ = folder_ + "/run/x.sock";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  auto start() {
    return StatusServer::start(
        socket_, [] { return std::string("m 1\n"); }, [] { return std::string("{}"); });
  }
  std::string folder_, socket_;
};

TEST_F(DaemonTest, AnswersOnASocketOnlyItsOwnerCanReach) {
  auto server = start();
  ASSERT_TRUE(server) << server.error().message;
  EXPECT_EQ(get_from_daemon(socket_, "/metrics").value(), "m 1\n");
  EXPECT_EQ(get_from_daemon(socket_, "/status").value(), "{}");
  EXPECT_FALSE(get_from_daemon(socket_, "/other"));
  struct stat st {};
  ASSERT_EQ(stat(socket_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0660u);
}

TEST_F(DaemonTest, ASecondInstanceIsRefusedAndAStaleSocketIsNot) {
  {
    auto first = start();
    ASSERT_TRUE(first);
    auto second = start();
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().message.find("another instance is running"), std::string::npos);
    EXPECT_TRUE(get_from_daemon(socket_, "/status"));
  }
  EXPECT_FALSE(get_from_daemon(socket_, "/status"));
  std::filesystem::create_directories(folder_ + "/run");
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  strcpy(address.sun_path, socket_.c_str());
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  close(fd);
  EXPECT_EQ(get_from_daemon(socket_, "/status").error().sys, ECONNREFUSED);
  EXPECT_TRUE(start());
}

TEST_F(DaemonTest, OptionsInBothSpellingsAndTheRestInOrder) {
  const char* argv[] = {"x", "--run-dir", "/r", "realise", "--state-dir=/s", "net"};
  auto options = parse_daemon_options(6, const_cast<char**>(argv));
  ASSERT_TRUE(options);
  EXPECT_EQ(options->run_dir, "/r");
  EXPECT_EQ(options->state_dir, "/s");
  EXPECT_EQ(options->rest, (std::vector<std::string>{"realise", "net"}));
  const char* missing[] = {"x", "--run-dir"};
  EXPECT_FALSE(parse_daemon_options(2, const_cast<char**>(missing)));
  const char* level[] = {"x", "--log-level", "loud"};
  EXPECT_FALSE(parse_daemon_options(3, const_cast<char**>(level)));
}

}  // namespace
}  // namespace fairlead
