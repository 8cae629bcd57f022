// Counters of one worker. Threads: written by its owner only, read by the status thread; hence atomics without a lock
// prefix (load, add, store).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace fairlead::dns {

class Counter {
 public:
  void add(uint64_t n = 1) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  void sub(uint64_t n = 1) { value_.store(value_.load(std::memory_order_relaxed) - n, std::memory_order_relaxed); }
  uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

struct alignas(64) WorkerStats {
  Counter udp_queries, tcp_queries;
  std::array<Counter, 16> rcodes;  // of local answers
  Counter forwarded, ignored;      // ignored: responses and fragments that deserve no answer
  Counter lost;                    // answers the kernel did not take
  Counter tcp_accepted, tcp_open, tcp_evicted, tcp_idle;
};

}  // namespace fairlead::dns
