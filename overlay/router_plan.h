// What a network's router on this node should look like, computed from the records alone: no kernel, no files, no root.
// fairlead-agent applies it (agent/realise.h) and compares it with the kernel (agent/reconcile.h).
#pragma once

#include <string>
#include <vector>

#include "base/ip.h"
#include "kernel/rtnl.h"
#include "kernel/rule.h"
#include "overlay/mesh.h"
#include "state/records.h"

namespace fairlead::overlay {

// Routes to the subnets as a whole have this metric: what no endpoint has is unreachable, and never goes to the uplink.
inline constexpr uint32_t kUnreachableMetric = 4000;
inline constexpr const char* kLoopback = "lo";

// An internal network's router has no default route. Replies to clients of its published ports find their way out by
// this mark, which only connections that came in by the uplink have (overlay/router_rules.h).
inline constexpr uint32_t kReplyMark = 0x57, kReplyTable = 57, kReplyRulePriority = 57;

struct Sysctl {
  std::string key, value;  // key as "net/ipv4/ip_forward"
  friend bool operator==(const Sysctl&, const Sysctl&) = default;
};

// A route of the router. link: the device's name in the router, empty for a route without one.
struct PlannedRoute {
  std::string link;
  kernel::Route route;  // index is not filled
};

struct PlannedNeighbour {
  std::string link;
  Address address;
  Mac mac;
};

struct UplinkEnd {
  Mac mac;
  std::vector<Prefix> addresses;
  std::vector<Sysctl> sysctls;    // set before the link is up
  PlannedNeighbour peer4, peer6;  // the other end, permanent; link empty: the family is not used
};

struct RouterPlan {
  std::vector<Sysctl> sysctls;   // of the namespace, before it has any link but lo
  std::vector<Prefix> gateways;  // on lo
  UplinkEnd inside, outside;     // "ul" in the router, Router::uplink on the host
  std::vector<PlannedRoute> routes;
  std::vector<kernel::Rule> policy;  // internal networks only
  std::string rules;                 // the table inet fairlead (overlay/router_rules.h)
  uint32_t mtu = 0;                  // of the uplink
};

Prefix default_route(int family);

// The families a network's router forwards: those of its subnets; both when the addresses are another IPAM's business.
bool uses_family(const Network& network, int family);

// mesh: nullptr where this node is alone.
RouterPlan plan_router(const Network& network, const Router& router, const Mesh* mesh = nullptr);

// What the router holds for one of its endpoints: a host route per address and the permanent neighbour. link:
// the endpoint's host end.
std::vector<PlannedRoute> endpoint_routes(const Endpoint& endpoint);
std::vector<PlannedNeighbour> endpoint_neighbours(const Endpoint& endpoint);

// The MTU of containers when the network does not say: what the underlay carries less the overlay's headers.
// The same on one node and on many, so that a second node changes nothing for containers that run.
inline constexpr uint32_t kOverlayOverhead = 50;  // outer Ethernet 14 + IPv4 20 + UDP 8 + VXLAN 8 (RFC 7348 section 5)
inline constexpr uint32_t kIpv6Overhead = 20;     // more, when the underlay is IPv6
// SPI and sequence 8, IV 8, trailer 2, ICV 16 (RFC 4303, RFC 4106); UDP 8 (RFC 3948), used or not: which form a packet
// takes is found out per pair of nodes and may change.
inline constexpr uint32_t kEspOverhead = 42;
uint32_t container_mtu(const Network& network, uint32_t underlay_mtu, int underlay_family);

}  // namespace fairlead::overlay
