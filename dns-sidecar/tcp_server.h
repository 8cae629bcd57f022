// DNS over TCP (RFC 7766) for one worker: pipelining, answers in any order, nobody's silence delays anybody.
// Limits: kMaxConnections and kMaxPerClient (the longest idle of the client, or of all, makes room), kIdle without a
// whole query, kMaxQuery bytes a query, kMaxUnsent bytes nobody reads.
// Threads: one (its worker's).
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/fd.h"
#include "dns-sidecar/responder.h"

namespace fairlead::dns {

class TcpServer {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr size_t kMaxConnections = 1024, kMaxPerClient = 256, kMaxQuery = 4096, kMaxUnsent = 256 * 1024;
  static constexpr auto kIdle = std::chrono::seconds(10);

  // Connections are added to epoll with the data tag | number.
  TcpServer(int epoll, uint64_t tag, Responder& responder);
  ~TcpServer();

  void accept(int listener, uint32_t network);
  void on_event(uint64_t number, uint32_t events);
  // A forwarded answer; dropped when the connection is gone.
  void reply(uint64_t number, const uint8_t* data, size_t size);
  void expire(Clock::time_point now);
  bool empty() const { return connections_.empty(); }

 private:
  struct Connection {
    Fd fd;
    uint64_t number = 0;
    uint32_t network = 0;
    Peer peer{};
    std::vector<uint8_t> in;  // bytes of queries not complete yet
    std::string out;
    size_t pending = 0;       // forwarded, not answered
    uint32_t watched = 0;     // epoll events
    bool ended = false;       // the client sends no more
    Clock::time_point since;  // the last whole query
    std::list<Connection*>::iterator idle;
  };

  void make_room(const Peer& peer);
  void close(Connection& connection);
  bool read_queries(Connection& connection);
  bool answer_queries(Connection& connection);
  bool answer_some(Connection& connection);
  bool put(Connection& connection, const uint8_t* data, size_t size);
  bool write_out(Connection& connection);
  void watch(Connection& connection);
  void finish_event(Connection& connection, bool alive);

  int epoll_;
  uint64_t tag_;
  Responder& responder_;
  uint64_t next_number_ = 1;
  std::unordered_map<uint64_t, Connection> connections_;
  std::list<Connection*> idle_;  // the longest idle first
  std::unordered_map<std::string, size_t> per_client_;
  std::vector<uint8_t> answer_;
};

}  // namespace fairlead::dns
