#include "dns-sidecar/sockets.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

namespace fairlead::dns {
namespace {

constexpr int kReceiveBuffer = 1 << 20;  // a burst of some thousand queries while the worker is not scheduled
constexpr int kBacklog = 256;

Result<void> set_option(int fd, int level, int option, int value, const char* what) {
  if (setsockopt(fd, level, option, &value, sizeof value) != 0) return fail_errno("set", what);
  return {};
}

Result<void> set_options(int fd, const Address& address, int type) {
  FL_CHECK(set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT"));
  if (type == SOCK_STREAM) FL_CHECK(set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR"));
  // Beyond net.core.rmem_max where we may (CAP_NET_ADMIN); a smaller buffer is no reason to fail.
  if (type == SOCK_DGRAM && !set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, kReceiveBuffer, "SO_RCVBUFFORCE"))
    (void)set_option(fd, SOL_SOCKET, SO_RCVBUF, kReceiveBuffer, "SO_RCVBUF");
  if (address.is_v4()) {
    FL_CHECK(set_option(fd, IPPROTO_IP, IP_FREEBIND, 1, "IP_FREEBIND"));
    // Answers fit any path (kMaxUdpBytes); OMIT also ignores forged "fragmentation needed" messages (RFC 9715).
    if (type == SOCK_DGRAM) FL_CHECK(set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT, "IP_MTU_DISCOVER"));
    return {};
  }
  FL_CHECK(set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY"));
  FL_CHECK(set_option(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1, "IPV6_FREEBIND"));
  if (type == SOCK_DGRAM)
    FL_CHECK(set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_OMIT, "IPV6_MTU_DISCOVER"));
  return {};
}

Result<Fd> open_socket(const Address& address, uint16_t port, int type) {
  const std::string what =
      (type == SOCK_DGRAM ? "UDP " : "TCP ") + address.to_string() + " port " + std::to_string(port);
  Fd fd(socket(address.family(), type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("open a socket for", what);
  if (auto set = set_options(fd.get(), address, type); !set) return fail(set.error().with(what));
  sockaddr_storage name{};
  socklen_t length;
  if (address.is_v4()) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(name);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    memcpy(&v4.sin_addr, address.bytes(), 4);
    length = sizeof v4;
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(name);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    memcpy(&v6.sin6_addr, address.bytes(), 16);
    length = sizeof v6;
  }
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&name), length) != 0) return fail_errno("bind", what);
  if (type == SOCK_STREAM && listen(fd.get(), kBacklog) != 0) return fail_errno("listen on", what);
  return fd;
}

}  // namespace

Result<ListenerSockets> open_listener(const Address& address, uint16_t port) {
  ListenerSockets sockets;
  FL_TRY(sockets.udp, open_socket(address, port, SOCK_DGRAM));
  FL_TRY(sockets.tcp, open_socket(address, port, SOCK_STREAM));
  return sockets;
}

}  // namespace fairlead::dns
