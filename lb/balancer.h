// One router's balancer: makes the kernel do what a RouterPlan says. Two implementations with the same behaviour:
// ipvs_balancer.h (IPVS, hairpin by nftables) and nft_balancer.h (nftables maps).
//
// Promise: after apply() new connections go as the plan says, established ones of backends that stayed are not touched,
// and no flow is left on a backend or frontend that is gone. Nothing is flushed: what an earlier process made is taken
// over. When apply() fails nothing or only whole frontends have changed; calling it again is always right.
// Threads: one object belongs to one thread. Its sockets stay in the router's namespace.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "lb/model.h"

namespace fairlead::lb {

// Something about one frontend that cannot be had; it keeps what it had before.
struct Refusal {
  FrontendKey frontend;
  std::string service;
  std::string reason;
};

// Connections (and UDP flows) on one backend of one frontend.
struct BackendId {
  FrontendKey frontend;
  Address address;
  uint16_t port = 0;
  friend bool operator==(const BackendId&, const BackendId&) = default;
  friend std::strong_ordering operator<=>(const BackendId&, const BackendId&) = default;
};
using Connections = std::map<BackendId, uint64_t>;

class Balancer {
 public:
  virtual ~Balancer() = default;
  virtual Result<std::vector<Refusal>> apply(const RouterPlan& plan) = 0;
  // What can be done when nobody waits for apply() any more: reading back. To be called soon after it.
  virtual Result<void> settle() { return {}; }
  // What of the last apply() somebody else has undone, as words for the log and the repair counter ("table inet
  // fairlead_lb"); empty when all is as it was left. apply() with the same plan repairs it.
  virtual Result<std::vector<std::string>> drift() = 0;
  // Of some frontends of the last plan; backends without any are left out.
  virtual Result<Connections> connections(const std::set<FrontendKey>& of) = 0;
  // Load-following schedulers the kernel cannot do itself; to be called every 250 ms.
  virtual Result<void> follow_load() { return {}; }
};

}  // namespace fairlead::lb
