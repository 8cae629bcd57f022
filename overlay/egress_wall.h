// The last wall around encrypted networks: what would send their VXLAN packets in the clear finds a program on the
// links to other nodes that drops them. It stands behind IPsec and nftables (net/core/dev.c, sch_handle_egress): what
// was encrypted is no UDP to these ports any more. docs/decisions/0045-a-third-wall.md. Pure.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/ip.h"
#include "state/node_record.h"
#include "state/records.h"

namespace fairlead::overlay {

struct EgressFacts {
  std::vector<uint16_t> ports;  // VXLAN ports of encrypted networks of both kinds, in order, each once
  Address self;                 // this node's address of the underlay; none: this node is alone
  std::vector<Address> peers;   // of the same family
  friend bool operator==(const EgressFacts&, const EgressFacts&) = default;
};
EgressFacts egress_facts(const std::vector<Network>& networks, const std::vector<Node>& nodes, const std::string& self);

// Of a packet that leaves: 2 (TC_ACT_SHOT) for UDP to one of the ports, over IPv4 and IPv6, whole or the first of its
// fragments; else -1 (TC_ACT_UNSPEC): whoever comes next decides. Classic BPF: the kernel checks and compiles it, and
// nothing but CAP_NET_ADMIN is needed.
std::vector<sock_filter> egress_program(const std::vector<uint16_t>& ports);

}  // namespace fairlead::overlay
