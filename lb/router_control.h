// One router of this node: VIP addresses, IPVS settings, and the balancer, kept as a RouterPlan says.
// Threads: one object belongs to one thread; it enters the router's namespace only while it is opened.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "kernel/netlink.h"
#include "lb/balancer.h"

namespace fairlead::lb {

enum class BalancerKind { kNft, kIpvs };
const char* balancer_name(BalancerKind kind);

class RouterControl {
 public:
  // An error with sys ENOENT while the router's namespace does not exist (the agent is about to make it).
  static Result<std::unique_ptr<RouterControl>> open(const std::string& netns, BalancerKind kind);
  // The pinned namespace is another one by now: the router was made anew, and this object must be, too.
  bool replaced() const;

  Result<std::vector<Refusal>> apply(const RouterPlan& plan);
  Result<void> settle() { return balancer_->settle(); }  // after apply()
  // What somebody else has undone since the last apply(), already repaired when this returns.
  Result<std::vector<std::string>> repair();
  Result<Connections> connections(const std::set<FrontendKey>& of) { return balancer_->connections(of); }
  Result<void> follow_load() { return balancer_->follow_load(); }
  const std::shared_ptr<Fd>& netns() const { return netns_; }

 private:
  RouterControl(std::string path, std::shared_ptr<Fd> netns) : path_(std::move(path)), netns_(std::move(netns)) {}
  Result<bool> sync_vips();  // whether something was missing

  std::string path_;
  std::shared_ptr<Fd> netns_;
  std::unique_ptr<kernel::NetlinkSocket> routes_;
  std::unique_ptr<Balancer> balancer_;
  RouterPlan plan_;
};

}  // namespace fairlead::lb
