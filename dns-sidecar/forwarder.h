// The forwarder: one thread in the host's network namespace that asks the resolvers. It runs the forward table over UDP
// sockets, c-ares for TCP, and a clock, and hands answers back to the workers.
// Threads: mailbox(), set_servers(), report(), drain() may be used from any.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "dns-sidecar/forward_table.h"
#include "dns-sidecar/mailbox.h"
#include "dns-sidecar/sockets.h"
#include "dns-sidecar/upstream_tcp.h"
#include "dns-sidecar/upstream_udp.h"

namespace fairlead::dns {

class Forwarder final : public UpstreamTransport, public ReplySink {
 public:
  using Reply = std::function<void(const Origin&, const uint8_t*, size_t)>;
  struct Report {
    ForwardStats stats;
    size_t in_flight = 0, waiting = 0;
    std::vector<ServerAddress> silent;
  };

  static Result<std::unique_ptr<Forwarder>> open(ForwardLimits limits, uint16_t port = kDnsPort);
  ~Forwarder() override;
  // reply is called from the forwarder's thread. Requests may be put into the mailbox before.
  void start(Reply reply);
  Mailbox<ForwardRequest>& mailbox() { return mail_; }
  void set_servers(std::vector<ServerAddress> host, std::map<uint32_t, std::vector<ServerAddress>> networks);
  Report report() const;
  // Waits until nothing is in flight, at most for limit, and ends the thread.
  void drain(Millis limit);

 private:
  struct Servers {
    std::vector<ServerAddress> host;
    std::map<uint32_t, std::vector<ServerAddress>> networks;
  };

  Forwarder(ForwardLimits limits, uint16_t port, Fd epoll);
  bool send(AttemptId attempt, const ServerAddress& server, const uint8_t* data, size_t size, bool tcp) override;
  void cancel(AttemptId attempt) override;
  void reply(const Origin& origin, const uint8_t* data, size_t size) override;

  void run();
  void read_mail(Millis now);
  void take_servers();
  void read_udp(Millis now, AttemptId attempt);
  void collect_tcp(Millis now);
  int wait_time(Millis now) const;
  void publish_report();

  Fd epoll_;
  Mailbox<ForwardRequest> mail_;
  Mailbox<Servers> new_servers_;
  UdpUpstream udp_;
  TcpUpstream tcp_;
  ForwardTable table_;
  Reply reply_;
  std::vector<ServerAddress> known_;
  std::vector<ForwardRequest> requests_;
  std::vector<TcpUpstream::Result> results_;
  std::vector<uint8_t> buffer_;
  std::atomic<Millis> stop_at_{-1};  // -1: not stopping
  mutable std::mutex mutex_;
  Report report_;
  std::thread thread_;
};

Millis monotonic_millis();

}  // namespace fairlead::dns
