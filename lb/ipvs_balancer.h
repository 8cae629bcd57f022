// The ipvs balancer: one IPVS service per frontend, NAT forwarding, one destination per backend; hairpin connections
// are masqueraded by nftables (IPVS with conntrack=1 passes through it).
// Flows of removed destinations end by themselves: expire_nodest_conn makes the next packet of a TCP connection a reset
// and sends a UDP flow's next datagram elsewhere.
// Cost: a change costs requests for what differs; drift() reads the router's IPVS table.
#pragma once

#include "kernel/ipvs.h"
#include "lb/balancer.h"
#include "lb/ipvs_changes.h"
#include "lb/nft_table_keeper.h"

namespace fairlead::lb {

class IpvsBalancer : public Balancer {
 public:
  // Opened in the calling thread's network namespace. netns: a descriptor of it that lives as long as this.
  static Result<std::unique_ptr<Balancer>> open(int netns);
  Result<std::vector<Refusal>> apply(const RouterPlan& plan) override;
  Result<void> settle() override { return table_.settle(); }
  Result<std::vector<std::string>> drift() override;
  Result<Connections> connections(const std::set<FrontendKey>& of) override;

 private:
  IpvsBalancer(int netns, kernel::Ipvs ipvs, NftTableKeeper table, kernel::NetlinkSocket flows)
      : netns_(netns), ipvs_(std::move(ipvs)), table_(std::move(table)), flows_(std::move(flows)) {}
  Result<void> drop_preceding_flows();
  Result<IpvsTable> read();
  Result<std::vector<Refusal>> run(const std::vector<IpvsChange>& changes);

  int netns_;
  kernel::Ipvs ipvs_;
  NftTableKeeper table_;
  kernel::NetlinkSocket flows_;
  RouterPlan plan_;
  bool complete_ = false;  // the last apply() went through
  std::set<FrontendKey> refused_;
};

// Takes away what an ipvs balancer left in the namespace of the calling thread, if this kernel has IPVS loaded.
Result<void> remove_ipvs_services(const std::vector<Prefix>& own);

}  // namespace fairlead::lb
