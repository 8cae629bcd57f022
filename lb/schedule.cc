#include "lb/schedule.h"

#include <algorithm>
#include <numeric>

namespace fairlead::lb {
namespace {

// Reduces weights by their common divisor and, if there are still too many slots, scales them down.
std::vector<uint32_t> reduced(std::vector<uint32_t> weights) {
  uint32_t divisor = 0;
  for (auto w : weights) divisor = std::gcd(divisor, w);
  if (divisor == 0) return weights;
  uint64_t total = 0;
  size_t used = 0;
  for (auto& w : weights) {
    w /= divisor;
    total += w;
    if (w > 0 && ++used > kMaxSlots) w = 0;
  }
  if (total <= kMaxSlots) return weights;
  // At least 1 each; what is left over is shared by weight. Rounding down keeps the sum within the limit.
  uint64_t shared = kMaxSlots - std::min<uint64_t>(used, kMaxSlots);
  for (auto& w : weights)
    if (w > 0) w = static_cast<uint32_t>(1 + static_cast<uint64_t>(w) * shared / total);
  return weights;
}

}  // namespace

std::vector<uint32_t> weighted_slots(const std::vector<uint32_t>& given) {
  std::vector<uint32_t> weights = reduced(given);
  int64_t total = std::accumulate(weights.begin(), weights.end(), int64_t{0});
  // Smooth weighted round robin: everybody gains its weight, the richest is picked and pays the total.
  std::vector<int64_t> credit(weights.size(), 0);
  std::vector<uint32_t> slots;
  slots.reserve(static_cast<size_t>(total));
  while (static_cast<int64_t>(slots.size()) < total) {
    size_t best = weights.size();
    for (size_t i = 0; i < weights.size(); i++) {
      if (weights[i] == 0) continue;
      credit[i] += weights[i];
      if (best == weights.size() || credit[i] > credit[best]) best = i;
    }
    credit[best] -= total;
    slots.push_back(static_cast<uint32_t>(best));
  }
  return slots;
}

std::vector<uint32_t> least_connection_slots(std::vector<Load> loads) {
  std::vector<uint32_t> slots;
  while (slots.size() < kSimulatedPicks) {
    size_t best = loads.size();
    for (size_t i = 0; i < loads.size(); i++) {
      if (loads[i].weight == 0) continue;
      // a/b < c/d without division (ip_vs_wlc.c does the same)
      if (best == loads.size() || loads[i].connections * loads[best].weight < loads[best].connections * loads[i].weight)
        best = i;
    }
    if (best == loads.size()) return {};
    loads[best].connections++;
    slots.push_back(static_cast<uint32_t>(best));
  }
  return slots;
}

std::vector<uint32_t> maglev_slots(const std::vector<uint32_t>& given, const std::vector<uint32_t>& ids) {
  // A prime, so that every skip visits every slot; about a hundred slots per backend keep shares even.
  static constexpr uint32_t kPrimes[] = {251, 509, 1021};
  std::vector<uint32_t> weights = reduced(given);
  size_t used = weights.size() - static_cast<size_t>(std::count(weights.begin(), weights.end(), 0u));
  if (used == 0) return {};
  uint32_t size = used <= 2 ? kPrimes[0] : used <= 5 ? kPrimes[1] : kPrimes[2];
  std::vector<uint64_t> next(weights.size());
  std::vector<int64_t> slots(size, -1);
  for (size_t i = 0; i < weights.size(); i++) next[i] = ids[i] % size;
  for (uint32_t filled = 0; filled < size;) {
    for (size_t i = 0; i < weights.size() && filled < size; i++) {
      uint64_t skip = 1 + (ids[i] * 0x9e3779b97f4a7c15ULL >> 33) % (size - 1);
      for (uint32_t turn = 0; turn < weights[i] && filled < size; turn++) {
        while (slots[next[i]] >= 0) next[i] = (next[i] + skip) % size;
        slots[next[i]] = static_cast<int64_t>(i);
        filled++;
      }
    }
  }
  return {slots.begin(), slots.end()};
}

}  // namespace fairlead::lb
