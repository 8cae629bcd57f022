// Questions over UDP, each packet from a socket of its own: the source port is as random as the kernel chooses ports,
// only the asked resolver's answers arrive, and cancelling is closing (RFC 5452 section 9.2). Why not c-ares: a channel
// keeps one socket for all questions in flight, and one channel per question costs 73 KiB (docs/decisions).
// Threads: one (the forwarder's).
#pragma once

#include <cstdint>
#include <unordered_map>

#include "base/fd.h"
#include "dns-sidecar/forward_table.h"

namespace fairlead::dns {

class UdpUpstream {
 public:
  // Sockets are added to epoll with the attempt's number as data.
  UdpUpstream(int epoll, uint16_t port) : epoll_(epoll), port_(port) {}
  bool send(AttemptId attempt, const ServerAddress& server, const uint8_t* data, size_t size);
  void cancel(AttemptId attempt) { sockets_.erase(attempt); }
  // Reads one message: its size, 0 when there is none (any more), -1 when the resolver cannot be reached.
  ssize_t receive(AttemptId attempt, uint8_t* buffer, size_t size);

 private:
  int epoll_;
  uint16_t port_;
  std::unordered_map<AttemptId, Fd> sockets_;
};

// false when the scope is no interface.
bool server_name(const ServerAddress& server, uint16_t port, sockaddr_storage& name, socklen_t& length);

}  // namespace fairlead::dns
