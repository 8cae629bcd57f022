// Questions over TCP by c-ares, which keeps one connection per resolver, pipelines on it and puts split messages
// together. Policy (whom to ask, how long to wait) is the forward table's: one try per question, every answer passed as
// it is. Limit: c-ares 1.18 cannot reach link-local resolvers with a scope (fe80::1%eth0); send() refuses them.
// Threads: one (the forwarder's).
#pragma once

#include <sys/select.h>

#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "dns-sidecar/forward_table.h"

struct ares_channeldata;

namespace fairlead::dns {

class TcpUpstream {
 public:
  struct Result {
    AttemptId attempt = 0;
    bool failed = false;
    std::vector<uint8_t> data;
  };

  // Sockets are added to epoll with the data tag | descriptor.
  TcpUpstream(int epoll, uint64_t tag, uint16_t port);
  ~TcpUpstream();
  TcpUpstream(const TcpUpstream&) = delete;
  TcpUpstream& operator=(const TcpUpstream&) = delete;

  bool send(AttemptId attempt, const ServerAddress& server, const uint8_t* data, size_t size);
  void cancel(AttemptId attempt) { live_.erase(attempt); }
  void on_event(int fd, uint32_t events);
  // Runs c-ares' clock, and gives out what has come back since.
  void collect(std::vector<Result>& results);
  // Milliseconds until collect() is due; -1: nothing is out.
  int timeout() const;

 private:
  struct Channel;
  struct Ticket;
  Channel* channel_for(const ServerAddress& server);
  static void on_state(void* data, int fd, int readable, int writable);
  static void on_answer(void* data, int status, int timeouts, unsigned char* answer, int size);

  int epoll_;
  uint64_t tag_;
  uint16_t port_;
  std::map<ServerAddress, std::unique_ptr<Channel>> channels_;
  std::unordered_set<AttemptId> live_;
  std::vector<Result> results_;
};

}  // namespace fairlead::dns
