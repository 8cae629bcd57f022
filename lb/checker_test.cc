#include "lb/checker.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "kernel/netns.h"
#include "lb/check_connection.h"

namespace fairlead::lb {
namespace {

using Clock = std::chrono::steady_clock;

// A loopback server: accepts and answers as told, or only listens.
class Server {
 public:
  explicit Server(bool accepts) {
    listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_.get(), 1024), 0);
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    if (accepts) thread_ = std::thread([this] { serve(); });
  }
  ~Server() { stop(); }
  void stop() {
    end_ = true;
    ::shutdown(listener_.get(), SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    listener_.reset();
  }
  uint16_t port() const { return port_; }
  void answer(const std::string& text) {
    std::lock_guard lock(mutex_);
    answer_ = text;
  }
  std::string request() {
    std::lock_guard lock(mutex_);
    return request_;
  }

 private:
  void serve() {
    while (!end_) {
      Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!client) continue;
      timeval limit{1, 0};
      ::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      char buffer[2048];
      ssize_t n = ::recv(client.get(), buffer, sizeof buffer, 0);
      std::lock_guard lock(mutex_);
      if (n > 0) request_.assign(buffer, static_cast<size_t>(n));
      if (n > 0) (void)::send(client.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
    }
  }
  std::atomic<bool> end_{false};
  Fd listener_;
  uint16_t port_ = 0;
  std::mutex mutex_;
  std::string answer_ = "HTTP/1.1 200 OK\r\n\r\n", request_;
  std::thread thread_;
};

class Checker : public testing::Test {
 protected:
  void SetUp() override {
    auto here = kernel::own_netns();
    // Entering even one's own namespace takes CAP_SYS_ADMIN (setns(2)).
    if (!here || !kernel::in_netns(here->get(), []() -> Result<void> { return {}; }))
      GTEST_SKIP() << "not allowed to enter network namespaces";
    netns_ = std::make_shared<Fd>(std::move(*here));
    checker_ = HealthChecker::start().value();
  }
  HealthTarget target(uint16_t port, const char* type = "tcp") {
    HealthTarget t;
    t.netns = netns_;
    t.address = Address::parse("127.0.0.1").value();
    t.port = port;
    t.config.type = type;
    t.config.interval_ms = 100;
    t.config.timeout_ms = 50;
    return t;
  }
  static BackendName name(const std::string& key) { return {"appnet", "web", key}; }
  // The next verdicts, within a second.
  std::map<BackendName, bool> wait(size_t count = 1) {
    std::map<BackendName, bool> all;
    auto deadline = Clock::now() + std::chrono::seconds(2);
    while (all.size() < count && Clock::now() < deadline) {
      pollfd p{checker_->fd(), POLLIN, 0};
      ::poll(&p, 1, 100);
      for (const auto& [backend, healthy] : checker_->take_changes()) all[backend] = healthy;
    }
    return all;
  }
  std::shared_ptr<Fd> netns_;
  std::unique_ptr<HealthChecker> checker_;
};

TEST_F(Checker, LB28ATcpBackendProvesItselfAndFailsWhenItStopsListening) {
  Server server(true);
  checker_->set_targets({{name("a"), target(server.port())}});
  EXPECT_EQ(wait(), (std::map<BackendName, bool>{{name("a"), true}}));
  auto stopped = Clock::now();
  server.stop();
  EXPECT_EQ(wait(), (std::map<BackendName, bool>{{name("a"), false}}));
  EXPECT_LT(Clock::now() - stopped, std::chrono::milliseconds(2 * 100 + 200));
}

TEST_F(Checker, LB29HttpStatusDecides) {
  Server server(true);
  HealthTarget t = target(server.port(), "http");
  t.config.path = "/healthz?x=1";
  t.config.host = "web.example.com";
  checker_->set_targets({{name("a"), t}});
  EXPECT_EQ(wait(), (std::map<BackendName, bool>{{name("a"), true}}));
  EXPECT_EQ(server.request().find("GET /healthz?x=1 HTTP/1.1\r\nHost: web.example.com\r\n"), 0u);
  server.answer("HTTP/1.1 500 Oops\r\n\r\n");
  EXPECT_EQ(wait(), (std::map<BackendName, bool>{{name("a"), false}}));
  server.answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 302 Found\r\nLocation: /\r\n\r\n");
  EXPECT_EQ(wait(), (std::map<BackendName, bool>{{name("a"), true}}));
  server.answer("220 mail.example.com ESMTP\r\n");
  EXPECT_EQ(wait(), (std::map<BackendName, bool>{{name("a"), false}}));
}

TEST_F(Checker, LB28SilenceIsAFailureAfterTheTimeout) {
  Server silent(false);  // the kernel accepts, nobody answers
  HealthTarget t = target(silent.port(), "http");
  t.healthy = true;
  checker_->set_targets({{name("a"), t}});
  EXPECT_EQ(wait(), (std::map<BackendName, bool>{{name("a"), false}}));
}

TEST_F(Checker, ATargetWhoseCheckChangesKeepsItsVerdict) {
  Server server(true);
  HealthTarget t = target(server.port());
  checker_->set_targets({{name("a"), t}});
  wait();
  t.config.interval_ms = 60;
  checker_->set_targets({{name("a"), t}});
  EXPECT_TRUE(wait().empty());  // still healthy: nothing to tell
  EXPECT_GT(checker_->checks(), 3u);
}

TEST_F(Checker, LB31BlackHolesDoNotDelayTheOthers) {
  Server good(true), silent(false);
  HealthTargets targets;
  for (int i = 0; i < 200; i++) {
    HealthTarget answered = target(good.port()), ignored = target(silent.port(), "http");
    answered.config.interval_ms = ignored.config.interval_ms = 500;
    ignored.config.timeout_ms = 400;
    targets[name("good" + std::to_string(i))] = answered;
    targets[name("hole" + std::to_string(i))] = ignored;
  }
  checker_->set_targets(targets);
  auto verdicts = wait(200);
  EXPECT_EQ(verdicts.size(), 200u);
  for (const auto& [backend, healthy] : verdicts) EXPECT_TRUE(healthy && std::get<2>(backend).find("good") == 0);
  uint64_t before = checker_->checks();
  std::this_thread::sleep_for(std::chrono::seconds(1));
  EXPECT_NEAR(static_cast<double>(checker_->checks() - before), 800, 250);
}

}  // namespace
}  // namespace fairlead::lb
