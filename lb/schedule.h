// The order in which the nft balancer hands out backends. The kernel counts connections (numgen inc mod N) and looks
// the backend up in a map of N slots; these functions fill the slots. Pure.
#pragma once

#include <cstdint>
#include <vector>

namespace fairlead::lb {

inline constexpr uint32_t kMaxSlots = 1024;
inline constexpr uint32_t kSimulatedPicks = 64;

// Slots of weighted round robin, as indexes into weights: each backend as often as its weight says (weights are
// reduced by their common divisor first), spread evenly. Of equal weights: plain round robin. Weight 0: never.
// Weights that would need more than kMaxSlots slots are scaled down; none that is not 0 becomes 0
// (unless there are more than kMaxSlots backends: the first kMaxSlots then).
std::vector<uint32_t> weighted_slots(const std::vector<uint32_t>& weights);

// The next kSimulatedPicks choices of (weighted) least connections, when all of them stay open: always the backend
// with the fewest connections per weight, of equal ones the first. Weight 0: never.
struct Load {
  uint32_t weight = 1;
  uint64_t connections = 0;
};
std::vector<uint32_t> least_connection_slots(std::vector<Load> loads);

// Slots for hashing clients so that a change of the backends moves few of them (Maglev, Eisenbud et al., NSDI 2016,
// section 3.4; the kernel's ip_vs_mh.c). ids: one number per backend that stays the same when others come and go.
std::vector<uint32_t> maglev_slots(const std::vector<uint32_t>& weights, const std::vector<uint32_t>& ids);

}  // namespace fairlead::lb
