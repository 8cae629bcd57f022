// Which question is being asked where, who waits for it, and whom to ask next. Pure policy: time comes in, packets go
// out through two interfaces; tested with a fake upstream and a fake clock.
//
// Promise: every request gets exactly one answer within kBudget (a resolver's usual patience is 5 s), most of them at
// once: equal questions in flight are one; a resolver that does not answer is passed over until it does (a probe goes
// along every kProbeEvery); SERVFAIL, REFUSED and garbage go to the next resolver, NXDOMAIN is final; a failure is
// remembered for kFailureTime (RFC 9520).
// Fairness: when a limit is reached, the client with most requests waiting loses its oldest (SERVFAIL at once), so
// nobody is starved by a flood of names nobody answers. Threads: one.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "dns-sidecar/forward.h"
#include "dns-sidecar/upstream_message.h"

namespace fairlead::dns {

using Millis = int64_t;      // of a monotonic clock
using AttemptId = uint64_t;  // one packet to one resolver

class UpstreamTransport {
 public:
  virtual ~UpstreamTransport() = default;
  // Sends asynchronously; what comes back goes to ForwardTable::on_answer or on_error, never from inside this call.
  // false when it cannot even be tried.
  virtual bool send(AttemptId attempt, const ServerAddress& server, const uint8_t* data, size_t size, bool tcp) = 0;
  virtual void cancel(AttemptId attempt) = 0;
};

class ReplySink {
 public:
  virtual ~ReplySink() = default;
  virtual void reply(const Origin& origin, const uint8_t* data, size_t size) = 0;
};

struct ForwardLimits {
  size_t exchanges = 1024;  // questions in flight
  size_t waiters = 8192;    // requests waiting for them
};

struct ForwardStats {
  uint64_t requests = 0, merged = 0, sent = 0, answered = 0, failed = 0, evicted = 0, bogus = 0, from_failure_cache = 0;
};

class ForwardTable {
 public:
  static constexpr Millis kBudget = 3800, kProbeEvery = 10000, kFailureTime = 1500;
  static constexpr size_t kMaxServers = 6, kMaxFailures = 4096;

  ForwardTable(UpstreamTransport& transport, ReplySink& sink, ForwardLimits limits = {});
  ~ForwardTable();

  // The host's resolvers, and those of networks (by slot) that have their own. Questions in flight keep theirs.
  void set_servers(const std::vector<ServerAddress>& host,
                   const std::map<uint32_t, std::vector<ServerAddress>>& networks);
  void submit(Millis now, const ForwardRequest& request);
  void on_answer(Millis now, AttemptId attempt, const uint8_t* data, size_t size);
  // The resolver cannot be reached (ICMP, connection refused or lost).
  void on_error(Millis now, AttemptId attempt);
  void on_time(Millis now);
  // When on_time is due; -1: nothing to wait for.
  Millis next_time() const { return timers_.empty() ? -1 : timers_.begin()->first; }

  size_t in_flight() const { return exchanges_.size(); }
  size_t waiting() const { return waiters_; }
  const ForwardStats& stats() const { return stats_; }
  // Resolvers that did not answer when last asked.
  bool is_silent(const ServerAddress& server) const;

 private:
  using ClientKey = std::pair<uint32_t, Address>;
  using Servers = std::shared_ptr<const std::vector<ServerAddress>>;
  struct Exchange;
  struct Waiter {
    ForwardRequest request;
    Exchange* exchange = nullptr;
  };
  using Queue = std::list<Waiter>;  // of one client, oldest first
  struct Attempt {
    size_t server = 0;
    uint16_t id = 0;
    Millis sent = 0;
    bool open = false;
  };
  struct Exchange {
    uint64_t number = 0;
    std::string key;          // empty: a probe
    ForwardRequest question;  // of the first asker
    Servers servers;
    std::vector<size_t> order;  // indices into servers, silent ones last
    std::vector<bool> failed;   // by index into servers
    std::vector<Attempt> attempts;
    size_t turns = 0;  // how often somebody was asked
    Millis deadline = 0;
    std::multimap<Millis, uint64_t>::iterator timer;
    std::vector<std::pair<ClientKey, Queue::iterator>> waiters;
  };
  struct Health {
    Millis last_answer = INT64_MIN;
    bool silent = false;
    Millis next_probe = 0;
  };

  Servers servers_for(uint32_t network) const;
  Exchange* start(Millis now, const ForwardRequest& request, std::string key, Servers servers);
  void add_waiter(Exchange& exchange, const ForwardRequest& request);
  void make_room();
  void evict_oldest_of_greediest();
  void send(Millis now, Exchange& exchange, size_t server);
  void next_turn(Millis now, Exchange& exchange);
  void give_up_on(Millis now, Exchange& exchange, size_t server);
  void probe_silent(Millis now, const ForwardRequest& request, const std::vector<ServerAddress>& servers);
  void fail(Millis now, Exchange& exchange);
  void finish(Exchange& exchange);
  void remove_waiter(const ClientKey& client, Queue::iterator waiter);
  void count_client(const ClientKey& client, size_t before, size_t after);
  Exchange* find(AttemptId attempt, Attempt*& found);
  bool known_failure(Millis now, const std::string& key);

  UpstreamTransport& transport_;
  ReplySink& sink_;
  ForwardLimits limits_;
  ForwardStats stats_;
  Servers host_;
  std::map<uint32_t, Servers> networks_;
  std::map<ServerAddress, Health> health_;
  std::unordered_map<uint64_t, std::unique_ptr<Exchange>> exchanges_;
  std::unordered_map<std::string, Exchange*> by_key_;
  std::multimap<Millis, uint64_t> timers_;
  std::map<ClientKey, Queue> clients_;
  std::set<std::pair<size_t, ClientKey>> by_count_;
  size_t waiters_ = 0;
  std::unordered_map<std::string, Millis> failures_;
  std::deque<std::pair<Millis, std::string>> failure_order_;
  uint64_t next_number_ = 1;
  std::vector<uint8_t> scratch_;
};

}  // namespace fairlead::dns
