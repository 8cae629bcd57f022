// The threads together, over loopback sockets of this process: workers, forwarder, snapshots that change under load.
#include "dns-sidecar/worker.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>

#include "dns-sidecar/forwarder.h"
#include "dns-sidecar/testing.h"

namespace fairlead::dns {
namespace {

using namespace testing;

uint16_t port_of(int fd) {
  sockaddr_in name{};
  socklen_t length = sizeof name;
  getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length);
  return ntohs(name.sin_port);
}

class WorkerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    builder_.set_network("net1", network("net1", {"127.0.0.0/8"}));
    builder_.set_service("net1", "web", service("net1", "web", {"10.1.255.1"}));
    auto self = endpoint("net1", "self", {"10.1.0.1"}, {"self"});
    builder_.set_endpoint("net1", self->key(), self);
    publish();
    resolver_.reset(socket(AF_INET, SOCK_DGRAM, 0));
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(bind(resolver_.get(), reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
    auto forwarder = Forwarder::open({}, port_of(resolver_.get()));
    ASSERT_TRUE(forwarder);
    forwarder_ = std::move(*forwarder);
    auto worker = Worker::start(0, cell_, forwarder_->mailbox());
    ASSERT_TRUE(worker);
    worker_ = std::move(*worker);
    forwarder_->start([this](const Origin& o, const uint8_t* data, size_t size) { worker_->reply(o, data, size); });
    auto sockets = open_listener(addr("127.0.0.1"), 0);
    ASSERT_TRUE(sockets);
    udp_port_ = port_of(sockets->udp.get());
    tcp_port_ = port_of(sockets->tcp.get());
    worker_->add(1, 0, std::move(*sockets));
  }
  void TearDown() override {
    forwarder_->drain(0);
    worker_->stop();
  }

  // A loopback address is no container's; here it has to be one, so the table is changed by hand.
  void publish() {
    auto snapshot = std::make_shared<Snapshot>(*builder_.publish());
    auto zone = std::make_shared<Zone>(*snapshot->zone(0));
    auto node = std::make_shared<AddressNode>();
    node->key = key_of("127.0.0.1");
    node->hash = hash_bytes(node->key);
    node->networks = {0};
    zone->addresses = zone->addresses.with({{node->hash, node->key, node}});
    snapshot->zones = {zone};
    cell_.set(snapshot);
  }
  Fd connect_to(int kind, uint16_t port) {
    Fd fd(socket(AF_INET, kind, 0));
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(port);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    timeval patience{5, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
    return fd;
  }
  Answer udp(int fd, const Bytes& query) {
    Answer a;
    EXPECT_EQ(send(fd, query.data(), query.size(), 0), static_cast<ssize_t>(query.size()));
    a.bytes.resize(4096);
    ssize_t n = recv(fd, a.bytes.data(), a.bytes.size(), 0);
    EXPECT_GT(n, 0);
    a.bytes.resize(n > 0 ? static_cast<size_t>(n) : 0);
    read_answer(a);
    return a;
  }

  Fd resolver_;
  ZoneBuilder builder_;
  SnapshotCell cell_;
  std::unique_ptr<Forwarder> forwarder_;
  std::unique_ptr<Worker> worker_;
  uint16_t udp_port_ = 0, tcp_port_ = 0;
};

TEST_F(WorkerTest, AnswersWhileSnapshotsChangeAndListenersComeAndGo) {
  std::atomic<bool> stop{false};
  std::thread changer([&] {
    for (uint64_t i = 2; !stop; i++) {
      auto e = endpoint("net1", "moving", {"10.1.0." + std::to_string(i % 200 + 2)}, {"moving"});
      builder_.set_endpoint("net1", e->key(), e);
      publish();
      // Another address: with SO_REUSEPORT the kernel may give the very port that is being asked, and half of its
      // questions.
      if (auto extra = open_listener(addr("127.0.0.2"), 0)) {
        worker_->add(i, 0, std::move(*extra));
        worker_->remove(i);
      }
    }
  });
  Fd fd = connect_to(SOCK_DGRAM, udp_port_);
  for (int i = 0; i < 2000; i++) {
    ASSERT_EQ(udp(fd.get(), ask("web", kTypeA)).answers, std::vector<std::string>{"10.1.255.1"}) << i;
    EXPECT_LE(udp(fd.get(), ask("moving", kTypeA)).answers.size(), 1u);
  }
  stop = true;
  changer.join();
  EXPECT_GE(worker_->stats().udp_queries.get(), 4000u);
}

TEST_F(WorkerTest, ForwardsToAResolverAndBack) {
  forwarder_->set_servers({{addr("127.0.0.1"), ""}}, {});
  std::thread answering([&] {
    for (int i = 0; i < 200; i++) {
      Bytes m(2048);
      sockaddr_in peer{};
      socklen_t length = sizeof peer;
      ssize_t n = recvfrom(resolver_.get(), m.data(), m.size(), 0, reinterpret_cast<sockaddr*>(&peer), &length);
      if (n <= 0) return;
      m.resize(static_cast<size_t>(n));
      m[2] |= 0x80;
      m[7] = 1;
      for (int b : {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7}) m.push_back(static_cast<uint8_t>(b));
      sendto(resolver_.get(), m.data(), m.size(), 0, reinterpret_cast<sockaddr*>(&peer), length);
    }
  });
  Fd fd = connect_to(SOCK_DGRAM, udp_port_);
  for (int i = 0; i < 200; i++)
    EXPECT_EQ(udp(fd.get(), ask("n" + std::to_string(i) + ".example", kTypeA)).answers,
              std::vector<std::string>{"192.0.2.7"});
  answering.join();
  // Nobody listens there by TCP: a failure, not silence.
  Fd tcp = connect_to(SOCK_STREAM, tcp_port_);
  Bytes query = ask("tcp.example", kTypeA);
  query.insert(query.begin(), {0, static_cast<uint8_t>(query.size())});
  send(tcp.get(), query.data(), query.size(), 0);
  uint8_t answer[512];
  ASSERT_GT(recv(tcp.get(), answer, sizeof answer, 0), 14);
  EXPECT_EQ(answer[5] & 15, kServFail);
  EXPECT_EQ(forwarder_->report().stats.answered, 200u);
}

TEST_F(WorkerTest, ManyTcpConnectionsOfOneClientMakeRoomAmongThemselves) {
  std::vector<Fd> held;
  for (size_t i = 0; i < TcpServer::kMaxPerClient + 20; i++) held.push_back(connect_to(SOCK_STREAM, tcp_port_));
  Bytes query = ask("web", kTypeA);
  query.insert(query.begin(), {0, static_cast<uint8_t>(query.size())});
  ASSERT_GT(send(held.back().get(), query.data(), query.size(), 0), 0);
  uint8_t answer[512];
  ASSERT_GT(recv(held.back().get(), answer, sizeof answer, 0), 14);
  EXPECT_EQ(recv(held.front().get(), answer, sizeof answer, 0), 0) << "the oldest was closed";
  EXPECT_EQ(worker_->stats().tcp_open.get(), TcpServer::kMaxPerClient);
}

// 300 answers of 64 KiB each are far more than a connection may have unsent; all come, once somebody reads.
TEST_F(WorkerTest, AClientThatReadsLateGetsEverything) {
  for (int i = 0; i < 4000; i++) {
    auto e = endpoint("net1", "c" + std::to_string(i),
                      {"10.2." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1)});
    e->aliases = {"crowd"};
    builder_.set_endpoint("net1", e->key(), e);
  }
  publish();
  Fd fd = connect_to(SOCK_STREAM, tcp_port_);
  Bytes query = ask("crowd", kTypeA);
  query.insert(query.begin(), {0, static_cast<uint8_t>(query.size())});
  for (int i = 0; i < 300; i++)
    ASSERT_EQ(send(fd.get(), query.data(), query.size(), 0), static_cast<ssize_t>(query.size()));
  ASSERT_EQ(shutdown(fd.get(), SHUT_WR), 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  size_t messages = 0;
  for (Bytes head(2); recv(fd.get(), head.data(), 2, MSG_WAITALL) == 2; messages++) {
    Bytes body(get16(head.data()));
    ASSERT_EQ(recv(fd.get(), body.data(), body.size(), MSG_WAITALL), static_cast<ssize_t>(body.size()));
    ASSERT_EQ(get16(&body[6]), 4000);
  }
  EXPECT_EQ(messages, 300u);
}

}  // namespace
}  // namespace fairlead::dns
