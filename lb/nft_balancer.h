// The nft balancer: a verdict map from frontends to chains, a chain per frontend (nft_table.h). All changes are one
// transaction. Established connections live in connection tracking; those of removed backends are deleted there once
// the new rules are in, so that no new flow can take the old way meanwhile.
// Cost: nft_table_keeper.h; a change that removes something reads all of the namespace's connections. follow_load()
// reads all of the namespace's connections, only when a frontend asks for lc or wlc.
#pragma once

#include "kernel/netlink.h"
#include "lb/balancer.h"
#include "lb/nft_table_keeper.h"

namespace fairlead::lb {

class NftBalancer : public Balancer {
 public:
  // Opened in the calling thread's network namespace. netns: a descriptor of it that lives as long as this.
  static Result<std::unique_ptr<Balancer>> open(int netns);
  Result<std::vector<Refusal>> apply(const RouterPlan& plan) override;
  Result<void> settle() override { return table_.settle(); }
  Result<std::vector<std::string>> drift() override;
  Result<Connections> connections(const std::set<FrontendKey>& of) override;
  Result<void> follow_load() override;

 private:
  NftBalancer(int netns, NftTableKeeper table, kernel::NetlinkSocket socket)
      : netns_(netns), table_(std::move(table)), socket_(std::move(socket)) {}
  Result<void> drop_stale_flows();

  int netns_;
  NftTableKeeper table_;
  kernel::NetlinkSocket socket_;
  RouterPlan plan_;  // as applied, without refused frontends
  bool first_ = true;
  LoadSlots slots_;
};

}  // namespace fairlead::lb
