// The nft balancer: a verdict map from frontends to chains, a chain per frontend (nft_table.h). All changes are one
// transaction. Established connections live in connection tracking; those of removed backends are deleted there once
// the new rules are in, so that no new flow can take the old way meanwhile.
// Cost: a change costs one transaction of the changed chains; drift() one request while nobody changed any ruleset in
// the namespace. follow_load() reads all of the namespace's connections, only when a frontend asks for lc or wlc.
#pragma once

#include <optional>

#include "kernel/netlink.h"
#include "kernel/nft.h"
#include "lb/balancer.h"
#include "lb/nft_table.h"

namespace fairlead::lb {

// The table of ours in one namespace: applies values, notices strangers' changes. Used by both balancers.
class NftTableKeeper {
 public:
  // Opened in the calling thread's network namespace.
  static Result<NftTableKeeper> open();
  Result<void> apply(NftTable wanted);
  Result<bool> drifted();  // since the last apply()

 private:
  NftTableKeeper(kernel::NftSession session, kernel::NetlinkSocket socket)
      : session_(std::move(session)), socket_(std::move(socket)) {}
  Result<void> write(const NftTable& wanted);

  kernel::NftSession session_;
  kernel::NetlinkSocket socket_;
  std::optional<NftTable> applied_;  // none: contents unknown
  uint32_t generation_ = 0;
  uint64_t digest_ = 0;
};

class NftBalancer : public Balancer {
 public:
  // Opened in the calling thread's network namespace.
  static Result<std::unique_ptr<Balancer>> open();
  Result<std::vector<Refusal>> apply(const RouterPlan& plan) override;
  Result<std::vector<std::string>> drift() override;
  Result<Connections> connections() override;
  Result<void> follow_load() override;

 private:
  NftBalancer(NftTableKeeper table, kernel::NetlinkSocket socket) : table_(std::move(table)), socket_(std::move(socket)) {}
  Result<void> drop_stale_flows();

  NftTableKeeper table_;
  kernel::NetlinkSocket socket_;
  RouterPlan plan_;         // as applied, without refused frontends
  bool first_ = true;
  LoadSlots slots_;
};

}  // namespace fairlead::lb
