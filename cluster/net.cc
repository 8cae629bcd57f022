#include "cluster/net.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>

namespace fairlead::cluster {
namespace {

union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
  sockaddr_un path;
};

socklen_t fill(SocketAddress& to, const HostPort& where) {
  to = {};
  if (where.address.is_v4()) {
    to.v4.sin_family = AF_INET;
    to.v4.sin_port = htons(where.port);
    memcpy(&to.v4.sin_addr, where.address.bytes(), 4);
    return sizeof to.v4;
  }
  to.v6.sin6_family = AF_INET6;
  to.v6.sin6_port = htons(where.port);
  memcpy(&to.v6.sin6_addr, where.address.bytes(), 16);
  return sizeof to.v6;
}

Result<socklen_t> fill(SocketAddress& to, const std::string& path) {
  to = {};
  if (path.size() >= sizeof to.path.sun_path) return fail(path + ": longer than a socket's path may be");
  to.path.sun_family = AF_UNIX;
  memcpy(to.path.sun_path, path.c_str(), path.size() + 1);
  return static_cast<socklen_t>(sizeof to.path);
}

void set_option(const Fd& fd, int level, int option, int value) {
  (void)::setsockopt(fd.get(), level, option, &value, sizeof value);
}

// What every way carries (RFC 8200: 1280 bytes, less 60 of headers): where a way is narrower than its links and does
// not say so, a node can still join, and preflight.h names it. Before connect() and listen().
void use_small_segments(const Fd& fd) { set_option(fd, IPPROTO_TCP, TCP_MAXSEG, 1220); }

// A peer that has vanished without a word is noticed after seconds, not hours.
void tune(const Fd& fd) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 10000);
}

std::string text_of(const SocketAddress& from) {
  if (from.any.sa_family == AF_INET) return Address::from_bytes(AF_INET, &from.v4.sin_addr).to_string();
  if (from.any.sa_family == AF_INET6) return Address::from_bytes(AF_INET6, &from.v6.sin6_addr).to_string();
  return "";
}

}  // namespace

Result<HostPort> parse_host_port(std::string_view text) {
  HostPort where;
  std::string_view host = text, port;
  if (text.starts_with('[')) {
    auto end = text.find(']');
    if (end == text.npos) return fail(std::string(text) + ": the ] is missing");
    host = text.substr(1, end - 1);
    if (end + 1 < text.size() && text[end + 1] != ':') return fail(std::string(text) + ": expected [ADDRESS]:PORT");
    port = end + 1 < text.size() ? text.substr(end + 2) : "";
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    host = text.substr(0, text.find(':'));
    port = text.substr(text.find(':') + 1);
    if (port.empty()) return fail(std::string(text) + ": the port is missing");
  }
  auto address = Address::parse(host);
  if (!address) return fail(std::string(text) + ": expected an IP address, or ADDRESS:PORT");
  where.address = *address;
  if (!port.empty()) {
    unsigned number = 0;
    auto end = port.data() + port.size();
    auto parsed = std::from_chars(port.data(), end, number);
    // The next port is etcd's.
    if (parsed.ec != std::errc() || parsed.ptr != end || number < 1 || number > 65534)
      return fail(std::string(text) + ": the port is a number from 1 to 65534");
    where.port = static_cast<uint16_t>(number);
  }
  return where;
}

std::string to_text(const HostPort& where) {
  std::string host = where.address.to_string();
  return (where.address.is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(where.port);
}

StopSignal::StopSignal() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void StopSignal::set() const {
  uint64_t one = 1;
  (void)!::write(fd_.get(), &one, sizeof one);
}

bool StopSignal::is_set() const {
  pollfd fd{fd_.get(), POLLIN, 0};
  return ::poll(&fd, 1, 0) == 1;
}

bool StopSignal::sleep_ms(int ms) const {
  const int64_t deadline = now_ms() + ms;
  for (;;) {
    pollfd fd{fd_.get(), POLLIN, 0};
    int ready = ::poll(&fd, 1, static_cast<int>(std::max<int64_t>(0, deadline - now_ms())));
    if (ready == 1) return false;
    if (ready == 0 || errno != EINTR) return true;
  }
}

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

int64_t wall_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

Result<void> wait_ready(int fd, short events, int64_t deadline_ms, const StopSignal& stop) {
  for (;;) {
    pollfd fds[] = {{fd, events, 0}, {stop.fd(), POLLIN, 0}};
    int64_t left = deadline_ms - now_ms();
    int ready = ::poll(fds, 2, static_cast<int>(std::max<int64_t>(0, left)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return fail_errno("wait for", "connection");
    if (fds[1].revents) return fail("stopped", ECANCELED);
    if (ready == 0) return fail("no answer in time", ETIMEDOUT);
    return {};
  }
}

Result<Fd> listen_on(const HostPort& where) {
  SocketAddress address;
  socklen_t size = fill(address, where);
  Fd fd(::socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("open", "socket");
  set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  use_small_segments(fd);
  if (::bind(fd.get(), &address.any, size) != 0 || ::listen(fd.get(), 512) != 0)
    return fail_errno("listen on", to_text(where));
  return fd;
}

Result<Fd> listen_on_path(const std::string& path) {
  SocketAddress address;
  FL_TRY(socklen_t size, fill(address, path));
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("open", "socket");
  ::unlink(path.c_str());
  // The mode before anybody can connect: listen() comes after it.
  if (::bind(fd.get(), &address.any, size) != 0 || ::chmod(path.c_str(), 0600) != 0 || ::listen(fd.get(), 64) != 0)
    return fail_errno("listen on", path);
  return fd;
}

Result<Fd> connect_to(const HostPort& where, int timeout_ms, const StopSignal& stop, const Address& from) {
  SocketAddress address;
  socklen_t size = fill(address, where);
  Fd fd(::socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("open", "socket");
  tune(fd);
  use_small_segments(fd);
  SocketAddress own;
  if (from && ::bind(fd.get(), &own.any, fill(own, {from, 0})) != 0)
    return fail_errno("connect from", from.to_string());
  if (::connect(fd.get(), &address.any, size) == 0) return fd;
  if (errno != EINPROGRESS) return fail_errno("connect to", to_text(where));
  if (auto ready = wait_ready(fd.get(), POLLOUT, now_ms() + timeout_ms, stop); !ready)
    return fail(ready.error().with("connect to " + to_text(where)));
  int error = 0;
  socklen_t length = sizeof error;
  (void)::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (error) return fail_errno("connect to", to_text(where), error);
  return fd;
}

Result<Fd> connect_to_path(const std::string& path) {
  SocketAddress address;
  FL_TRY(socklen_t size, fill(address, path));
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("open", "socket");
  if (::connect(fd.get(), &address.any, size) != 0) return fail_errno("connect to", path);
  return fd;
}

Result<Fd> accept_from(const Fd& listener, std::string& peer, const StopSignal& stop) {
  for (;;) {
    SocketAddress address{};
    socklen_t size = sizeof address;
    Fd fd(::accept4(listener.get(), &address.any, &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd) {
      peer = text_of(address);
      if (!peer.empty()) tune(fd);
      return fd;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno != EAGAIN) return fail_errno("accept", "connection");
    FL_CHECK(wait_ready(listener.get(), POLLIN, now_ms() + 86400000, stop));
  }
}

}  // namespace fairlead::cluster
