// How full the pools of this node's networks are, looked at now and then: a line in the log when one is nearly used up
// (once, until it has room again), a problem of the status as long as it is, metrics. On the way it does what addresses
// need to have done (ipam::upkeep).
// Cost: one stat(2) per network every few seconds, a listing of its leases when they changed. Threads: one.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "ipam/capacity.h"
#include "state/paths.h"
#include "state/view.h"

namespace fairlead::agent {

class CapacityWatch {
 public:
  using Clock = std::chrono::steady_clock;
  explicit CapacityWatch(Paths paths) : paths_(std::move(paths)) {}

  void pass(const StateView& view, Clock::time_point now);

  struct Problem {
    std::string network, message;
  };
  std::vector<Problem> problems() const;
  std::string metrics() const;

 private:
  struct Entry {
    std::vector<ipam::PoolUse> pools;
    std::string leases;  // what the folder of leases was like
    Clock::time_point counted_at{}, kept_at{};
    std::set<std::string> warned;  // subnets
    std::string trouble;           // why it could not be counted
  };
  void count(const Network& network, Entry& entry, Clock::time_point now);
  void warn(const std::string& network, Entry& entry);

  Paths paths_;
  std::map<std::string, Entry> networks_;
  Clock::time_point next_{};
};

}  // namespace fairlead::agent
