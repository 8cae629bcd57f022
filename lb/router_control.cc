#include "lb/router_control.h"

#include <linux/netlink.h>

#include "kernel/netns.h"
#include "lb/ipvs_balancer.h"
#include "lb/local_routes.h"
#include "lb/nft_balancer.h"

namespace fairlead::lb {

const char* balancer_name(BalancerKind kind) { return kind == BalancerKind::kIpvs ? "ipvs" : "nft"; }

Result<std::unique_ptr<RouterControl>> RouterControl::open(const std::string& netns, BalancerKind kind) {
  std::string path = kernel::netns_path(netns);
  FL_TRY(Fd fd, kernel::open_netns(path));
  std::unique_ptr<RouterControl> router(new RouterControl(path, std::make_shared<Fd>(std::move(fd))));
  FL_CHECK(kernel::in_netns(router->netns_->get(), [&]() -> Result<void> {
    FL_TRY(auto socket, kernel::NetlinkSocket::open(NETLINK_ROUTE));
    router->routes_ = std::make_unique<kernel::NetlinkSocket>(std::move(socket));
    const int inside = router->netns_->get();
    FL_TRY(router->balancer_, kind == BalancerKind::kIpvs ? IpvsBalancer::open(inside) : NftBalancer::open(inside));
    return {};
  }));
  return router;
}

bool RouterControl::replaced() const {
  auto now = kernel::open_netns(path_);
  if (!now) return true;
  auto same = kernel::same_netns(now->get(), netns_->get());
  return !same || !*same;
}

Result<bool> RouterControl::sync_vips() {
  std::vector<LocalRoute> wanted;
  for (const auto& vip : plan_.vips) wanted.push_back({vip, "lo", 0});
  FL_TRY(auto changes, sync_local_routes(*routes_, wanted));
  return changes.added > 0;
}

Result<std::vector<Refusal>> RouterControl::apply(const RouterPlan& plan) {
  plan_ = plan;
  // The balancer first: a VIP that exists but is not balanced yet would refuse connections.
  FL_TRY(auto refused, balancer_->apply(plan_));
  FL_CHECK(sync_vips());
  return refused;
}

Result<std::vector<std::string>> RouterControl::repair() {
  FL_TRY(auto repaired, balancer_->drift());
  if (!repaired.empty()) {
    FL_CHECK(balancer_->apply(plan_));
    FL_CHECK(balancer_->settle());  // at once: what somebody changes after this is a repair of its own
  }
  FL_TRY(bool vip_missing, sync_vips());
  if (vip_missing) repaired.push_back("VIP address");
  return repaired;
}

}  // namespace fairlead::lb
