// ADD with port mappings returns when the ports answer: fairlead-lb says so in run/ports (docs/state-directory.md).
#pragma once

#include "base/cni_result.h"
#include "base/result.h"
#include "state/paths.h"
#include "state/records.h"

namespace fairlead::plugin {

// The report on one endpoint's port mappings.
class PortWait {
 public:
  PortWait(const Paths& paths, const Endpoint& endpoint);
  // A number no other ADD has; goes into the endpoint's document and comes back in the report.
  static uint32_t draw_attempt();

  // Looks again and again until fairlead-lb has reported. Errors: kInvalidConfig with port and holder when a port
  // cannot be had; kOwnError when fairlead-lb does not run, or has said nothing for kPortsMs.
  cni::CniResult<void> wait() const;

 private:
  Result<bool> answered(std::string* problem) const;

  Paths paths_;
  std::string network_, attachment_;
  uint32_t attempt_;
};

inline constexpr int kPortsMs = 5000;

}  // namespace fairlead::plugin
