#include "lb/drain.h"

namespace fairlead::lb {

void DrainClock::end_round() {
  std::erase_if(entries_, [&](const auto& entry) { return asked_.count(entry.first) == 0; });
}

Standing DrainClock::standing(const BackendName& backend, int64_t now_ms, uint32_t drain_ms) {
  asked_.insert(backend);
  auto [entry, fresh] = entries_.try_emplace(backend, Entry{now_ms + drain_ms, drain_ms == 0});
  if (now_ms >= entry->second.deadline_ms) entry->second.out = true;
  return entry->second.out ? Standing::kOut : Standing::kDraining;
}

void DrainClock::finish(const BackendName& backend) {
  auto entry = entries_.find(backend);
  if (entry != entries_.end()) entry->second.out = true;
}

std::set<BackendName> DrainClock::draining() const {
  std::set<BackendName> names;
  for (const auto& [name, entry] : entries_)
    if (!entry.out) names.insert(name);
  return names;
}

bool DrainClock::expired(int64_t now_ms) const {
  for (const auto& [name, entry] : entries_)
    if (!entry.out && now_ms >= entry.deadline_ms) return true;
  return false;
}

}  // namespace fairlead::lb
