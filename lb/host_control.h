// Published ports on the host: the table inet fairlead_lb (nft_table.h), and for ::1 a route per uplink.
//
// Connections to 127.0.0.1 work because the agent sets route_localnet on uplinks. IPv6 has no such switch: an answer
// whose destination has been translated back to ::1 is looked up with the uplink as input interface, and ::1 is on lo
// only (net/ipv6/route.c: rt6_need_strict, RT6_LOOKUP_F_IFACE), so it is dropped. A second local route for ::1 over the
// uplink lets it in. Packets that have ::1 on the wire are still dropped before any hook (ip6_input.c, RFC 4291 2.5.3).
// Threads: one object belongs to one thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernel/netlink.h"
#include "lb/model.h"
#include "lb/nft_balancer.h"

namespace fairlead::lb {

class HostControl {
 public:
  // Opened in the calling thread's network namespace.
  static Result<std::unique_ptr<HostControl>> open();
  Result<void> apply(const HostPlan& plan);
  Result<void> settle() { return table_.settle(); }  // after apply()
  Result<std::vector<std::string>> repair();         // as RouterControl::repair

 private:
  HostControl(NftTableKeeper table, kernel::NetlinkSocket routes, kernel::NetlinkSocket flows)
      : table_(std::move(table)), routes_(std::move(routes)), flows_(std::move(flows)) {}
  Result<bool> sync_loopback();
  Result<void> drop_stale_flows(const HostPlan& before);

  NftTableKeeper table_;
  kernel::NetlinkSocket routes_, flows_;
  HostPlan plan_;
  bool first_ = true;
};

}  // namespace fairlead::lb
