#include "lb/ipvs_changes.h"

#include <algorithm>

namespace fairlead::lb {
namespace {

using kernel::IpvsDestination;

const IpvsDestination* find(const std::vector<IpvsDestination>& list, const IpvsDestination& d) {
  for (const auto& other : list)
    if (other.address == d.address && other.port == d.port) return &other;
  return nullptr;
}

void service_changes(const IpvsEntry* present, const IpvsEntry& wanted, const FrontendKey& key,
                     std::vector<IpvsChange>& changes) {
  const auto& s = wanted.service;
  if (!present)
    changes.push_back({IpvsChange::kAddService, key, s, {}});
  else if (present->service != s)
    changes.push_back({IpvsChange::kSetService, key, s, {}});
  for (const auto& d : wanted.destinations) {
    const IpvsDestination* old = present ? find(present->destinations, d) : nullptr;
    if (!old)
      changes.push_back({IpvsChange::kAddDestination, key, s, d});
    else if (old->weight != d.weight)
      changes.push_back({IpvsChange::kSetDestination, key, s, d});
  }
  if (!present) return;
  for (const auto& d : present->destinations)
    if (!find(wanted.destinations, d)) changes.push_back({IpvsChange::kRemoveDestination, key, s, d});
}

}  // namespace

const char* IpvsChange::word() const { return kind <= kRemoveService ? "IPVS service" : "IPVS destination"; }

IpvsTable ipvs_table(const RouterPlan& plan) {
  IpvsTable table;
  for (const auto& [key, f] : plan.frontends) {
    IpvsEntry& entry = table[key];
    entry.service = {key.address, key.protocol, key.port, f.scheduler, 0, f.affinity_seconds};
    if (f.affinity_seconds > 0) entry.service.flags |= kernel::kIpvsPersistent;
    // Without it a client hashed to a draining backend is refused (measured: LB-07).
    if (f.scheduler == "sh" || f.scheduler == "mh") entry.service.flags |= kernel::kIpvsFallback;
    for (const auto& b : f.backends) entry.destinations.push_back({b.address, b.port, b.weight, 0, 0});
  }
  return table;
}

std::vector<IpvsChange> ipvs_changes(const IpvsTable& present, const IpvsTable& wanted,
                                     const std::vector<Prefix>& own) {
  std::vector<IpvsChange> changes;
  for (const auto& [key, entry] : wanted) {
    auto old = present.find(key);
    service_changes(old == present.end() ? nullptr : &old->second, entry, key, changes);
  }
  for (const auto& [key, entry] : present) {
    bool ours = std::any_of(own.begin(), own.end(),
                            [&, &address = key.address](const Prefix& p) { return p.contains(address); });
    if (ours && !wanted.count(key)) changes.push_back({IpvsChange::kRemoveService, key, entry.service, {}});
  }
  return changes;
}

}  // namespace fairlead::lb
