// A worker: one thread, one epoll, its own socket for every gateway address. It answers local names itself and hands
// the rest to the forwarder. Threads: start(), add(), remove(), reply() and stop() may be called from any; everything
// else happens in its own. Failure: a socket that errs is left to its owner; nothing here ends the thread but stop().
#pragma once

#include <memory>
#include <thread>
#include <unordered_map>
#include <vector>

#include "dns-sidecar/mailbox.h"
#include "dns-sidecar/responder.h"
#include "dns-sidecar/sockets.h"
#include "dns-sidecar/tcp_server.h"
#include "dns-sidecar/udp_batch.h"

namespace fairlead::dns {

class Worker {
 public:
  static Result<std::unique_ptr<Worker>> start(uint32_t index, const SnapshotCell& cell,
                                               Mailbox<ForwardRequest>& forwarder);
  ~Worker();

  // number is unique for ever; network is the slot whose gateway the sockets serve.
  void add(uint64_t number, uint32_t network, ListenerSockets sockets);
  void remove(uint64_t number);
  void reply(const Origin& origin, const uint8_t* data, size_t size);
  // Answers what has arrived, then ends the thread.
  void stop();
  const WorkerStats& stats() { return responder_.stats(); }

 private:
  struct Listener {
    uint32_t network = 0;
    ListenerSockets sockets;
  };
  struct Message {
    enum class Kind { kAdd, kRemove, kReply, kStop } kind = Kind::kStop;
    uint64_t number = 0;
    uint32_t network = 0;
    ListenerSockets sockets;
    Origin origin;
    std::vector<uint8_t> data;
  };

  Worker(uint32_t index, const SnapshotCell& cell, Mailbox<ForwardRequest>& forwarder, Fd epoll);
  void run();
  void on_event(uint64_t data, uint32_t events);
  void read_mail();
  void add_listener(Message& message);
  void deliver(const Origin& origin, const uint8_t* data, size_t size);
  void flush();
  void serve_udp(uint64_t number, Listener& listener);

  Fd epoll_;
  Mailbox<Message> mail_;
  Responder responder_;
  UdpBatch udp_;
  TcpServer tcp_;
  std::unordered_map<uint64_t, Listener> listeners_;
  std::vector<Message> messages_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace fairlead::dns
