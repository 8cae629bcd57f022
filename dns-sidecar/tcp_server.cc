#include "dns-sidecar/tcp_server.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

namespace fairlead::dns {
namespace {

constexpr int kAcceptsPerEvent = 16;
constexpr size_t kReadPerEvent = 16 * 1024;  // then the others get their turn

}  // namespace

TcpServer::TcpServer(int epoll, uint64_t tag, Responder& responder)
    : epoll_(epoll), tag_(tag), responder_(responder), answer_(kMaxTcpBytes + 2) {}
TcpServer::~TcpServer() = default;

void TcpServer::accept(int listener, uint32_t network) {
  for (int i = 0; i < kAcceptsPerEvent; i++) {
    Peer peer{};
    socklen_t length = sizeof peer;
    Fd fd(accept4(listener, &peer.any, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) return;
    // Answers of one read leave together anyway; a later one must not wait for an acknowledgement (RFC 896).
    int one = 1;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    make_room(peer);
    uint64_t number = next_number_++;
    epoll_event event{EPOLLIN, {.u64 = tag_ | number}};
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd.get(), &event) != 0) continue;
    Connection& c = connections_[number];
    c.fd = std::move(fd);
    c.number = number;
    c.network = network;
    c.peer = peer;
    c.watched = EPOLLIN;
    c.since = Clock::now();
    c.idle = idle_.insert(idle_.end(), &c);
    per_client_[std::string(peer_bytes(peer))]++;
    responder_.stats().tcp_accepted.add();
    responder_.stats().tcp_open.add();
  }
}

void TcpServer::make_room(const Peer& peer) {
  std::string client(peer_bytes(peer));
  Connection* victim = nullptr;
  if (per_client_.count(client) && per_client_[client] >= kMaxPerClient) {
    for (Connection* c : idle_)
      if (peer_bytes(c->peer) == client) {
        victim = c;
        break;
      }
  } else if (connections_.size() >= kMaxConnections) {
    victim = idle_.front();
  }
  if (!victim) return;
  responder_.stats().tcp_evicted.add();
  close(*victim);
}

void TcpServer::close(Connection& c) {
  auto client = per_client_.find(std::string(peer_bytes(c.peer)));
  if (--client->second == 0) per_client_.erase(client);
  idle_.erase(c.idle);
  responder_.stats().tcp_open.sub();
  connections_.erase(c.number);
}

void TcpServer::on_event(uint64_t number, uint32_t events) {
  auto it = connections_.find(number);
  if (it == connections_.end()) return;
  Connection& c = it->second;
  bool alive = !(events & EPOLLERR);
  if (alive && (events & EPOLLOUT)) alive = write_out(c) && answer_queries(c);
  if (alive && (events & (EPOLLIN | EPOLLHUP))) alive = read_queries(c);
  finish_event(c, alive);
}

void TcpServer::finish_event(Connection& c, bool alive) {
  if (!alive || (c.ended && c.pending == 0 && c.out.empty())) return close(c);
  watch(c);
}

void TcpServer::watch(Connection& c) {
  uint32_t events = 0;
  // Who does not read his answers is not asked for more queries.
  if (!c.ended && c.out.size() < kMaxUnsent / 2) events |= EPOLLIN;
  if (!c.out.empty()) events |= EPOLLOUT;
  if (events == c.watched) return;
  c.watched = events;
  epoll_event event{events, {.u64 = tag_ | c.number}};
  epoll_ctl(epoll_, EPOLL_CTL_MOD, c.fd.get(), &event);
}

bool TcpServer::read_queries(Connection& c) {
  uint8_t buffer[4096];
  for (size_t total = 0; total < kReadPerEvent && c.out.size() < kMaxUnsent / 2;) {
    ssize_t n = recv(c.fd.get(), buffer, sizeof buffer, 0);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (n == 0) {
      c.ended = true;
      return true;
    }
    c.in.insert(c.in.end(), buffer, buffer + n);
    if (!answer_queries(c)) return false;
    total += static_cast<size_t>(n);
    if (static_cast<size_t>(n) < sizeof buffer) return true;
  }
  return true;
}

// What is left in c.in afterwards is no whole query, or its answer has no room in c.out: then EPOLLOUT comes. A reader
// that takes everything just when the last of it is written must not leave queries behind that nothing would wake
// anybody for.
bool TcpServer::answer_queries(Connection& c) {
  for (size_t before = c.in.size() + 1; before > c.in.size() && c.out.size() < kMaxUnsent / 2;) {
    before = c.in.size();
    if (!answer_some(c)) return false;
  }
  return true;
}

bool TcpServer::answer_some(Connection& c) {
  size_t at = 0;
  bool whole = false;
  while (c.in.size() - at >= 2) {
    size_t size = get16(&c.in[at]);
    if (size < kHeaderBytes || size > kMaxQuery) return false;
    if (c.in.size() - at - 2 < size) break;
    // Who does not read gets no further answers made; the queries wait here until he does.
    if (c.out.size() >= kMaxUnsent / 2 && !write_out(c)) return false;
    if (c.out.size() >= kMaxUnsent / 2) break;
    bool forwarded = false;
    size_t n = responder_.respond({c.network, true, c.number}, c.peer, &c.in[at + 2], size, answer_.data() + 2,
                                  kMaxTcpBytes, &forwarded);
    at += 2 + size;
    whole = true;
    if (forwarded) c.pending++;
    if (n == 0) continue;
    put16(answer_.data(), static_cast<uint16_t>(n));
    if (!put(c, answer_.data(), n + 2)) return false;
  }
  c.in.erase(c.in.begin(), c.in.begin() + static_cast<std::ptrdiff_t>(at));
  if (!whole) return true;
  c.since = Clock::now();
  idle_.splice(idle_.end(), idle_, c.idle);
  return write_out(c);
}

bool TcpServer::put(Connection& c, const uint8_t* data, size_t size) {
  if (c.out.size() + size > kMaxUnsent) return false;
  c.out.append(reinterpret_cast<const char*>(data), size);
  return true;
}

bool TcpServer::write_out(Connection& c) {
  if (c.out.empty()) return true;
  ssize_t n = send(c.fd.get(), c.out.data(), c.out.size(), MSG_NOSIGNAL);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  c.out.erase(0, static_cast<size_t>(n));
  return true;
}

void TcpServer::reply(uint64_t number, const uint8_t* data, size_t size) {
  auto it = connections_.find(number);
  if (it == connections_.end()) return;
  Connection& c = it->second;
  if (c.pending > 0) c.pending--;
  put16(answer_.data(), static_cast<uint16_t>(size));
  memcpy(answer_.data() + 2, data, size);
  finish_event(c, put(c, answer_.data(), size + 2) && write_out(c));
}

void TcpServer::expire(Clock::time_point now) {
  while (!idle_.empty() && now - idle_.front()->since >= kIdle) {
    Connection& c = *idle_.front();
    if (c.pending > 0) {  // the forwarder's budget is shorter than kIdle: its answer is near
      c.since = now;
      idle_.splice(idle_.end(), idle_, c.idle);
      continue;
    }
    responder_.stats().tcp_idle.add();
    close(c);
  }
}

}  // namespace fairlead::dns
