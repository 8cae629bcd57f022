#include "dns-sidecar/worker.h"

#include <sys/epoll.h>
#include <sys/random.h>

#include "dns-sidecar/upstream_message.h"

namespace fairlead::dns {
namespace {

// The upper two bits of epoll's data say what the rest is the number of.
constexpr uint64_t kKind = uint64_t{3} << 62, kUdp = 0, kTcpListener = uint64_t{1} << 62,
                   kConnection = uint64_t{2} << 62, kMail = uint64_t{3} << 62;
constexpr size_t kMailLimit = 65536;

uint64_t seed() {
  uint64_t value = 88172645463325252ull;
  // Without entropy all workers rotate alike, no more.
  [[maybe_unused]] ssize_t n = getrandom(&value, sizeof value, GRND_NONBLOCK);
  return value;
}

}  // namespace

Worker::Worker(uint32_t index, const SnapshotCell& cell, Mailbox<ForwardRequest>& forwarder, Fd epoll)
    : epoll_(std::move(epoll)),
      mail_(kMailLimit),
      responder_(index, cell, forwarder, seed()),
      tcp_(epoll_.get(), kConnection, responder_) {}

Result<std::unique_ptr<Worker>> Worker::start(uint32_t index, const SnapshotCell& cell,
                                              Mailbox<ForwardRequest>& forwarder) {
  Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno("create", "epoll");
  std::unique_ptr<Worker> worker(new Worker(index, cell, forwarder, std::move(epoll)));
  FL_CHECK(worker->mail_.open());
  epoll_event event{EPOLLIN, {.u64 = kMail}};
  if (epoll_ctl(worker->epoll_.get(), EPOLL_CTL_ADD, worker->mail_.fd(), &event) != 0)
    return fail_errno("watch", "the worker's mailbox");
  worker->thread_ = std::thread([w = worker.get()] { w->run(); });
  return worker;
}

Worker::~Worker() { stop(); }

void Worker::stop() {
  if (!thread_.joinable()) return;
  mail_.push({}, true);
  thread_.join();
}

void Worker::add(uint64_t number, uint32_t network, ListenerSockets sockets) {
  Message message;
  message.kind = Message::Kind::kAdd;
  message.number = number;
  message.network = network;
  message.sockets = std::move(sockets);
  mail_.push(std::move(message), true);
}

void Worker::remove(uint64_t number) {
  Message message;
  message.kind = Message::Kind::kRemove;
  message.number = number;
  mail_.push(std::move(message), true);
}

void Worker::reply(const Origin& origin, const uint8_t* data, size_t size) {
  Message message;
  message.kind = Message::Kind::kReply;
  message.origin = origin;
  message.data.assign(data, data + size);
  mail_.push(std::move(message));
}

void Worker::run() {
  epoll_event events[64];
  auto checked = TcpServer::Clock::now();
  while (!stopping_) {
    int n = epoll_wait(epoll_.get(), events, 64, tcp_.empty() ? -1 : 1000);
    responder_.refresh();
    for (int i = 0; i < n; i++) on_event(events[i].data.u64, events[i].events);
    flush();
    if (tcp_.empty()) continue;
    auto now = TcpServer::Clock::now();
    if (now - checked < std::chrono::seconds(1)) continue;
    checked = now;
    tcp_.expire(now);
  }
  for (auto& [number, listener] : listeners_) serve_udp(number, listener);
  flush();
}

void Worker::on_event(uint64_t data, uint32_t events) {
  const uint64_t number = data & ~kKind;
  if ((data & kKind) == kMail) return read_mail();
  if ((data & kKind) == kConnection) return tcp_.on_event(number, events);
  auto it = listeners_.find(number);
  if (it == listeners_.end()) return;
  if ((data & kKind) == kTcpListener) return tcp_.accept(it->second.sockets.tcp.get(), it->second.network);
  serve_udp(number, it->second);
}

void Worker::serve_udp(uint64_t number, Listener& listener) {
  udp_.serve(listener.sockets.udp.get(), {listener.network, false, number}, responder_);
}

void Worker::read_mail() {
  messages_.clear();
  mail_.take(messages_);
  for (auto& message : messages_) {
    switch (message.kind) {
      case Message::Kind::kAdd:
        add_listener(message);
        break;
      case Message::Kind::kRemove:
        listeners_.erase(message.number);
        break;
      case Message::Kind::kReply:
        deliver(message.origin, message.data.data(), message.data.size());
        break;
      case Message::Kind::kStop:
        stopping_ = true;
        break;
    }
  }
}

void Worker::add_listener(Message& message) {
  Listener& listener = listeners_[message.number];
  listener.network = message.network;
  listener.sockets = std::move(message.sockets);
  // Cannot fail but for want of memory; then this worker does not serve, and the others of the group do.
  epoll_event udp{EPOLLIN, {.u64 = kUdp | message.number}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener.sockets.udp.get(), &udp);
  epoll_event tcp{EPOLLIN, {.u64 = kTcpListener | message.number}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener.sockets.tcp.get(), &tcp);
}

void Worker::deliver(const Origin& origin, const uint8_t* data, size_t size) {
  if (origin.tcp) return tcp_.reply(origin.channel, data, size);
  auto it = listeners_.find(origin.channel);
  if (it == listeners_.end()) return;
  if (!UdpBatch::send(it->second.sockets.udp.get(), origin.peer, data, size)) responder_.stats().lost.add();
}

void Worker::flush() {
  uint8_t answer[kPlainUdpBytes];
  for (const auto& request : responder_.flush()) {
    size_t n = write_client_failure(kServFail, request, answer);
    deliver(request.origin, answer, n);
  }
}

}  // namespace fairlead::dns
