#include "dns-sidecar/upstream_udp.h"

#include <net/if.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>

namespace fairlead::dns {

bool server_name(const ServerAddress& server, uint16_t port, sockaddr_storage& name, socklen_t& length) {
  name = {};
  if (server.address.is_v4()) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(name);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    memcpy(&v4.sin_addr, server.address.bytes(), 4);
    length = sizeof v4;
    return true;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(name);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  memcpy(&v6.sin6_addr, server.address.bytes(), 16);
  length = sizeof v6;
  if (server.scope.empty()) return true;
  v6.sin6_scope_id = if_nametoindex(server.scope.c_str());
  if (v6.sin6_scope_id == 0) v6.sin6_scope_id = static_cast<uint32_t>(strtoul(server.scope.c_str(), nullptr, 10));
  return v6.sin6_scope_id != 0;
}

bool UdpUpstream::send(AttemptId attempt, const ServerAddress& server, const uint8_t* data, size_t size) {
  sockaddr_storage name;
  socklen_t length;
  if (!server_name(server, port_, name, length)) return false;
  Fd fd(socket(server.address.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd || connect(fd.get(), reinterpret_cast<sockaddr*>(&name), length) != 0) return false;
  if (::send(fd.get(), data, size, MSG_NOSIGNAL) != static_cast<ssize_t>(size)) return false;
  epoll_event event{EPOLLIN, {.u64 = attempt}};
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd.get(), &event) != 0) return false;
  sockets_[attempt] = std::move(fd);
  return true;
}

ssize_t UdpUpstream::receive(AttemptId attempt, uint8_t* buffer, size_t size) {
  auto it = sockets_.find(attempt);
  if (it == sockets_.end()) return 0;
  ssize_t n = recv(it->second.get(), buffer, size, MSG_DONTWAIT);
  if (n > 0) return n;
  // An empty datagram is no message; an error other than "nothing there" is an ICMP answer to our question.
  return n == 0 || errno == EAGAIN || errno == EINTR ? 0 : -1;
}

}  // namespace fairlead::dns
