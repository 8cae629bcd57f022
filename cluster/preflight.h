// Whether what nodes send one another gets through: tried between this node and each manager, both ways, with real
// packets (fairleadctl cluster join, cluster preflight). docs/decisions/0044-preflight.md.
//
// Tried: the VXLAN port of networks without encryption, ESP, UDP of IPsec and of WireGuard, the size of a packet, the
// clocks. Not the VXLAN ports of encrypted networks: in the clear nothing on them may pass, and nothing does.
// Threads: stateless. Failure: what cannot be tried is said; nothing is left behind.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/json.h"
#include "base/result.h"
#include "cluster/channel.h"
#include "cluster/manager_client.h"
#include "cluster/membership.h"
#include "state/paths.h"
#include "state/vxlan_port.h"

namespace fairlead::cluster {

inline constexpr uint16_t kIpsecUdpPort = kEspInUdpPort;  // where protocol 50 does not pass
inline constexpr int64_t kClockToleranceMs = 2000;

// UDP ports a node wants to be reached on.
struct PreflightPorts {
  std::vector<uint16_t> vxlan;  // of networks without encryption; the usual one always
  uint16_t ipsec = kIpsecUdpPort;
  uint16_t wireguard = 0;

  std::vector<uint16_t> all() const;
};
// From the documents of networks and nodes.
Result<PreflightPorts> preflight_ports(const Paths& paths, const std::string& self);
Json to_json(const PreflightPorts& ports);
Result<PreflightPorts> ports_at(const Json& message);  // from a peer: at most kMaxPreflightPorts

inline constexpr size_t kMaxPreflightPorts = 8;

// What one end has heard of the other.
struct PreflightWay {
  std::string from, to;
  PreflightPorts ports;      // of `to`
  std::set<uint16_t> heard;  // of them
  bool esp = false;
  uint32_t mtu = 0;     // of the sender's link
  uint32_t passes = 0;  // the largest IP packet heard
  uint32_t told = 0;    // what the sender's kernel knows of the way: less than mtu when a router has said so (ICMP)
};

struct PreflightResult {
  std::string self, peer;
  Address own, seen;     // this node's address, and where the peer sees its packets come from
  int64_t clock_ms = 0;  // how far this node's clock is ahead of the peer's
  int64_t clock_error_ms = 0;
  PreflightWay out, in;
};

struct PreflightFinding {
  std::string what;  // clock, address, VXLAN, IPsec, IPsec in UDP, WireGuard, MTU
  enum State { kGood, kMissing, kUnknown } state = kGood;
  std::string text;  // with the next step where something is missing
};
// In the order in which people read them. Pure.
std::vector<PreflightFinding> findings_of(const PreflightResult& result);

// This node with every manager that is not itself: {"good","peers":[{"name","address","clockMs","findings":[…]}]}.
// A few seconds at most for each.
Result<Json> preflight_all(const Paths& paths, const Membership& self, ManagerClient& client, const StopSignal& stop);

// One conversation over an authenticated connection. Both ends send to the other end's address of that connection and
// to no other, a number of packets that does not depend on what the other one says.
struct PreflightEnd {
  std::string name;
  Address own, peer;
  PreflightPorts ports;
};
Result<PreflightResult> ask_preflight(Channel& channel, const PreflightEnd& end, const StopSignal& stop);
// The manager's side: the request, and the rest of the conversation.
Result<void> answer_preflight(Channel& channel, const PreflightEnd& end, const Json& request, const StopSignal& stop);

}  // namespace fairlead::cluster
