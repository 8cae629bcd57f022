// The host's rules for the overlay's UDP ports, as text for the chains of overlay/host_rules.h. One lookup by port
// leads to the rules of that port's encryption, so that a packet pays for what protects it and not for what protects
// others. Pure.
//
// Plain: VXLAN of our networks comes from nodes only, and only the kernel sends it.
// IPsec: only what associations protect comes in or goes out; the same is said by policies (overlay/ipsec_plan.h):
// whoever flushes one of the two has not opened anything yet. WireGuard: leaves by its device or not at all, counts
// only when it came from it, and nothing else uses the device.
#pragma once

#include <string>

#include "overlay/host_rules.h"

namespace fairlead::overlay {

struct TunnelRules {
  std::string prerouting, raw_output;  // hooks before connection tracking
  std::string input, output, forward;  // filter
  std::string chains;                  // of their own
};
TunnelRules tunnel_rules(const HostRuleFacts& facts);

// The table of rules that stand as long as the policies, whether this node has a router or not: an ICMP error quotes
// the packet it is about, here one that was decrypted, because nobody listens on the port (any more, or yet) or an
// administrator's rule rejects it. Such errors do not leave. ports: not none.
std::string quote_rules(const std::vector<uint16_t>& ports);

// "udp dport { … }" of every port that carries VXLAN of ours.
std::string tunnel_ports(const HostRuleFacts& facts);

}  // namespace fairlead::overlay
