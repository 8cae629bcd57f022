// How long a backend that must go keeps its established connections: until none is left, at most the service's drain
// time. Pure; the caller brings the clock. A restart of the process starts the time anew.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "lb/plan.h"

namespace fairlead::lb {

class DrainClock {
 public:
  // One round per plan: what was not asked about between begin and end is forgotten.
  void begin_round() { asked_.clear(); }
  void end_round();

  // What a backend that must go is for now. The first call starts its time. Milliseconds of a monotonic clock.
  Standing standing(const BackendName& backend, int64_t now_ms, uint32_t drain_ms);

  // It has no connections left: it is out from now on, as long as it must go.
  void finish(const BackendName& backend);

  // Backends that still drain; and whether the time of one of them is over.
  std::set<BackendName> draining() const;
  bool expired(int64_t now_ms) const;

 private:
  struct Entry {
    int64_t deadline_ms = 0;
    bool out = false;
  };
  std::map<BackendName, Entry> entries_;
  std::set<BackendName> asked_;
};

}  // namespace fairlead::lb
