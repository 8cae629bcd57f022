#include "state/address_plan.h"

#include <sys/socket.h>

#include <algorithm>
#include <optional>

namespace fairlead {
namespace {

bool overlaps_any(const Prefix& prefix, const std::vector<Prefix>& others) {
  return std::any_of(others.begin(), others.end(), [&](const Prefix& other) { return other.overlaps(prefix); });
}

// FNV-1a: the same on every machine and in every version.
uint32_t hash_of(const std::string& text) {
  uint32_t hash = 2166136261u;
  for (unsigned char c : text) hash = (hash ^ c) * 16777619u;
  return hash;
}

// How many addresses of a pool are given out: neither its first (the subnet address, when the pool is small) nor its
// last, which in IPv4 is the subnet's broadcast address.
uint64_t usable(const Prefix& pool) { return (uint64_t{1} << std::min(pool.host_bits(), 32u)) - 2; }

}  // namespace

Result<std::vector<Prefix>> plan_subnets(uint32_t vni, const std::vector<Prefix>& taken, bool ipv6) {
  const Address begin = Address::v4(10u << 24 | 64u << 16);
  std::vector<Prefix> plan;
  for (int64_t i = 0; i < 1024 && plan.empty(); i++) {
    Prefix candidate{begin.plus(i * 4096), 20};
    if (!overlaps_any(candidate, taken)) plan.push_back(candidate);
  }
  if (plan.empty()) return fail("no /20 of 10.64.0.0/10 is free; name a subnet");
  if (!ipv6) return plan;
  const uint8_t bytes[16] = {0xfd,
                             0xfa,
                             0x1e,
                             0xad,
                             0,
                             static_cast<uint8_t>(vni >> 16),
                             static_cast<uint8_t>(vni >> 8),
                             static_cast<uint8_t>(vni)};
  Prefix candidate{Address::from_bytes(AF_INET6, bytes), 64};
  if (overlaps_any(candidate, taken)) return fail(candidate.to_string() + " is not free; name a subnet");
  plan.push_back(candidate);
  return plan;
}

Result<std::vector<Address>> plan_vips(const Network& network, const std::string& service,
                                       const std::vector<Address>& taken) {
  std::vector<Prefix> pools;
  uint64_t places = UINT64_MAX;
  for (int family : {AF_INET, AF_INET6}) {
    if (auto pool = network.vip_pool(family)) {
      pools.push_back(*pool);
      places = std::min(places, usable(*pool));
    }
  }
  if (pools.empty())
    return fail("network " + network.name +
                " has no room for VIPs (an IPv4 subnet needs a /26, an IPv6 subnet a /122)");

  auto is_taken = [&](const Address& a) { return std::find(taken.begin(), taken.end(), a) != taken.end(); };
  for (uint64_t i = 0; i < places; i++) {
    auto offset = static_cast<int64_t>(1 + (hash_of(service) % places + i) % places);
    std::vector<Address> vips;
    for (const auto& pool : pools) vips.push_back(pool.address.plus(offset));
    if (std::none_of(vips.begin(), vips.end(), is_taken)) return vips;
  }
  return fail("every VIP of network " + network.name + " is taken (" + std::to_string(places) + " of " +
              pools.front().to_string() + ")");
}

}  // namespace fairlead
