// How full a network's pools are, and what should be said about it. For people and metrics: lists the leases, so it is
// not for the path of ADD.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "state/paths.h"
#include "state/records.h"

namespace fairlead::ipam {

inline constexpr int kWarnPercent = 80;

// One subnet of a network, as far as this node may give addresses of it: all of it, or its blocks.
struct PoolUse {
  Prefix subnet;
  bool blocks = false;   // only this node's blocks count
  int64_t size = 0;      // how many addresses can be given; saturated at 2^62
  int64_t leased = 0;    // by this node
  int64_t reserved = 0;  // of the others: reserved for a name

  int64_t used() const { return leased + reserved; }  // what nobody else can have
  int percent() const;                                // 0 to 100, rounded down
  bool full() const { return used() >= size; }
  bool nearly_full() const { return percent() >= kWarnPercent; }
};
Result<std::vector<PoolUse>> pool_use(const Paths& paths, const Network& network);

// "10.32.0.0/24 is 93 % used (223 of 239 addresses): …"; for a pool that is nearly full.
std::string capacity_warning(const std::string& network, const PoolUse& pool);

// The index of reservations again, when a document is newer than it: an editor that writes into a file leaves the
// folder's time as it was.
Result<void> refresh_edited(const Paths& paths, const std::string& network);

// What has to be done now and then, by the agent: sticky addresses whose time is over, and the index of reservations
// after documents were edited in place. Lists documents.
Result<void> upkeep(const Paths& paths, const std::string& network);

}  // namespace fairlead::ipam
