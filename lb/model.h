// What fairlead-lb wants the kernel to hold, as values. The planner (plan.h) makes them from the state directory's
// documents; the balancers make the kernel match them. Everything here has been validated.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "state/records.h"

namespace fairlead::lb {

inline constexpr uint8_t kTcp = 6, kUdp = 17, kSctp = 132;
const char* protocol_name(uint8_t protocol);  // as nft and documents write it: tcp udp sctp

// Where clients connect to: a VIP, or the router's uplink address for a published port.
struct FrontendKey {
  Address address;
  uint8_t protocol = kTcp;
  uint16_t port = 0;
  std::string to_string() const;  // "tcp 10.32.255.1:80", "udp [fd32::1]:53"
  friend bool operator==(const FrontendKey&, const FrontendKey&) = default;
  friend std::strong_ordering operator<=>(const FrontendKey&, const FrontendKey&) = default;
};

struct Backend {
  Address address;
  uint16_t port = 0;
  uint32_t weight = 1;   // 0: established connections only (draining, or the operator's wish)
  std::string endpoint;  // attachment key
  friend bool operator==(const Backend&, const Backend&) = default;
};

struct Frontend {
  FrontendKey key;
  std::string service;  // "web", or "container 3f9c…" for a port mapping; for messages and metrics
  std::string scheduler = "rr";
  uint32_t affinity_seconds = 0;
  std::vector<Backend> backends;  // sorted by address and port, no two alike
  friend bool operator==(const Frontend&, const Frontend&) = default;
};

struct RouterPlan {
  std::string network;
  std::string netns;  // name under /run/netns
  std::map<FrontendKey, Frontend> frontends;
  std::set<Address> vips;      // local routes
  std::vector<Prefix> own;     // where frontends may be: the VIP pools and the router's uplink addresses
  std::set<Address> hairpin;   // endpoints that may reach themselves through a frontend
  Address gateway4, gateway6;  // source of hairpin connections and of health checks; none: no such family
  friend bool operator==(const RouterPlan&, const RouterPlan&) = default;
};

// One entry of the host's table: host_ip (none: every local address) protocol port → router:router_port.
struct HostPortKey {
  int family = 0;
  Address host_ip;
  uint8_t protocol = kTcp;
  uint16_t port = 0;
  std::string to_string() const;  // "tcp port 8000", "tcp port 8000 of 192.0.2.1"
  friend bool operator==(const HostPortKey&, const HostPortKey&) = default;
  friend std::strong_ordering operator<=>(const HostPortKey&, const HostPortKey&) = default;
};
struct HostPort {
  Address router;
  uint16_t router_port = 0;
  friend bool operator==(const HostPort&, const HostPort&) = default;
};
struct HostPlan {
  std::map<HostPortKey, HostPort> ports;
  // Host ends of uplinks behind IPv6 ports: each needs the route that lets answers to ::1 in (host_table.h).
  std::map<std::string, uint32_t> loopback6;  // interface → router index
  friend bool operator==(const HostPlan&, const HostPlan&) = default;
};

// network, service, attachment key
using BackendName = std::tuple<std::string, std::string, std::string>;

// A health check to be made from inside the network's router.
struct CheckPlan {
  Address source, address;
  uint16_t port = 0;
  HealthCheck config;
};

// What is planned for one endpoint's port mappings.
struct MappingPlan {
  uint32_t attempt = 0;                // Endpoint::attempt
  std::string problem;                 // why not all of them can be had; ""
  std::vector<FrontendKey> frontends;  // of the network's router
};

struct Plan {
  std::map<std::string, RouterPlan> routers;  // by network
  HostPlan host;
  std::map<BackendName, CheckPlan> checks;
  // (network, attachment key) → of those endpoints that have port mappings and whose router is known
  std::map<std::pair<std::string, std::string>, MappingPlan> mappings;
  // "service appnet/web" → what is wrong and what to do. The object's other parts work.
  std::set<std::pair<std::string, std::string>> problems;
};

}  // namespace fairlead::lb
