// Connection tracking of one network namespace over ctnetlink: reading flows and deleting single ones.
// Formats: linux/netfilter/nfnetlink_conntrack.h (kernel 6.1). Tuples are as conntrack has them: `original` as the
// client sent it, `reply` as the answer comes back (its source is where DNAT or IPVS sent the flow).
#pragma once

#include <cstdint>
#include <functional>

#include "base/ip.h"
#include "kernel/netlink.h"

namespace fairlead::kernel {

struct FlowTuple {
  Address source, destination;
  uint8_t protocol = 0;
  uint16_t source_port = 0, destination_port = 0;  // 0 for protocols without ports
  friend bool operator==(const FlowTuple&, const FlowTuple&) = default;
};

struct Flow {
  FlowTuple original, reply;
  uint32_t id = 0;
  uint16_t zone = 0;
  uint32_t status = 0;    // IPS_* (linux/netfilter/nf_conntrack_common.h)
  uint8_t tcp_state = 0;  // TCP_CONNTRACK_* (nf_conntrack_tcp.h); 0 for other protocols
  // Somebody still uses it: not a TCP or SCTP connection on its way out.
  bool alive() const;
};

// socket: NETLINK_NETFILTER. IPv4 and IPv6. Costs a walk through the kernel's whole table (some 3 ms). Flows that come
// and go meanwhile may be missed or seen.
Result<void> dump_flows(NetlinkSocket& socket, const std::function<void(const Flow&)>& each);
// ENOENT (gone by itself) is tolerated.
Message delete_flow(const Flow& flow);

}  // namespace fairlead::kernel
