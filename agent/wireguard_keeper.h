// When the node's WireGuard device is wanted, and what became of it: the daemon's part of agent/wireguard.h.
// Threads: one.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "agent/wireguard.h"
#include "state/view.h"

namespace fairlead::agent {

class WireguardKeeper {
 public:
  using Clock = std::chrono::steady_clock;
  explicit WireguardKeeper(Paths paths) : paths_(std::move(paths)) {}

  struct Pass {
    Result<void> done;
    std::vector<std::string> problems;
    Repairs repairs;
  };
  // needed: a network here is encrypted with WireGuard. self: this node's name, empty when it is alone.
  // nodes_changed: documents in nodes/, since the last pass. Looks at the kernel about once a second.
  const Pass& pass(const StateView& view, const std::string& self, bool needed, bool nodes_changed,
                   Clock::time_point now);
  // Of the last pass.
  const Pass& last() const { return last_; }

 private:
  Paths paths_;
  std::vector<overlay::WireguardNode> nodes_;
  enum class Device { kUnknown, kNone, kThere } device_ = Device::kUnknown;
  bool changed_ = true;
  Clock::time_point looked_at_{};
  Pass last_;
};

}  // namespace fairlead::agent
