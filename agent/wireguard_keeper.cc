#include "agent/wireguard_keeper.h"

namespace fairlead::agent {
namespace {

using namespace std::chrono_literals;

// The kernel tells nobody when a peer is changed or has moved, so it is asked; twice in the two seconds within which
// drift has to be repaired.
constexpr auto kAge = 900ms;

}  // namespace

const WireguardKeeper::Pass& WireguardKeeper::pass(const StateView& view, const std::string& self, bool needed,
                                                   bool nodes_changed, Clock::time_point now) {
  changed_ = changed_ || nodes_changed;
  needed = needed && !self.empty();
  if (!needed) {
    last_ = {};
    if (device_ == Device::kNone) return last_;
    last_.done = remove_wireguard(paths_);
    if (last_.done) device_ = Device::kNone;
    changed_ = true;
    return last_;
  }
  last_.repairs = {};
  if (!changed_ && now - looked_at_ < kAge) return last_;
  looked_at_ = now;
  if (changed_) {
    std::vector<Node> nodes;
    for (const auto& [name, node] : view.nodes()) nodes.push_back(*node);
    nodes_ = wireguard_nodes(nodes);
  }
  last_ = {};
  const bool drift = device_ == Device::kThere && !changed_;
  auto problems = ensure_wireguard(paths_, self, nodes_, drift ? &last_.repairs : nullptr);
  if (!problems) {
    if (device_ == Device::kNone) device_ = Device::kUnknown;
    last_.done = fail(problems.error());
    return last_;
  }
  device_ = Device::kThere;
  changed_ = false;
  last_.problems = std::move(*problems);
  return last_;
}

}  // namespace fairlead::agent
