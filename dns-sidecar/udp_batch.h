// Reads and answers UDP queries in batches: two system calls for up to kBatch of them (recvmmsg(2), sendmmsg(2)).
// Threads: one (its worker's). Memory: 230 KiB, none per query.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <memory>

#include "dns-sidecar/responder.h"

namespace fairlead::dns {

class UdpBatch {
 public:
  static constexpr size_t kBatch = 64;

  UdpBatch();
  // Serves what is waiting on the socket, at most a few batches; level-triggered epoll brings us back.
  void serve(int fd, const Responder::Channel& channel, Responder& responder);
  // One answer, later; lost when the kernel does not take it.
  static bool send(int fd, const Peer& peer, const uint8_t* data, size_t size);

 private:
  static constexpr size_t kMaxQuery = 2048;
  struct Slot {
    Peer peer;
    std::array<uint8_t, kMaxQuery> query;
    std::array<uint8_t, kMaxUdpBytes> answer;
  };

  size_t answer_all(size_t received, const Responder::Channel& channel, Responder& responder);
  void send_all(int fd, size_t count, Responder& responder);

  std::unique_ptr<std::array<Slot, kBatch>> slots_;
  std::array<iovec, kBatch> in_vectors_, out_vectors_;
  std::array<mmsghdr, kBatch> in_, out_;
};

}  // namespace fairlead::dns
