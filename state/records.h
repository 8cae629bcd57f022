// The documents of the state directory as records. Decoders are the schema: they validate everything and name file,
// field and expectation. Unknown fields are kept in `extra` and written back.
// Times are milliseconds. Sources: docs/state-directory.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "base/json.h"
#include "base/result.h"

namespace fairlead {

inline constexpr uint32_t kApiVersion = 1;
inline constexpr uint32_t kMinVni = 1, kMaxVni = 0xffffff;

// state/networks/NAME.json. Writer: fairleadctl, the cluster's operator, or the first CNI ADD that names it.
struct Network {
  std::string name;
  uint32_t vni = 0;
  std::vector<Prefix> subnets;      // at most one per family, without host bits
  std::string encryption = "none";  // none ipsec wireguard
  bool internal = false;
  uint32_t mtu = 0;                      // 0: computed from the underlay
  uint32_t vxlan_port = 0;               // UDP, between nodes; 0: 4789, with ipsec 4790, with wireguard 4791
  bool forward_single_labels = true;     // DNS-099: unknown one-label names go to the host's resolvers
  std::vector<std::string> dns_servers;  // instead of the host's resolvers; empty: the host's
  std::string extra;

  const Prefix* subnet(int family) const;            // nullptr when the network lacks the family
  std::optional<Address> gateway(int family) const;  // the subnet's first address
  std::optional<Prefix> vip_pool(int family) const;  // at the end of the subnet; see overlay-independent rules
};
Result<Network> decode_network(const Json& json, const std::string& source);
std::string encode(const Network& network);
// The pool of VIPs at the end of a subnet: an IPv4 subnet's last sixteenth but at most 256 addresses (a /24),
// none below /28; for IPv6 PREFIX::ffff:0/112 (the last sixteenth when the subnet is longer than /96).
std::optional<Prefix> vip_pool_of(const Prefix& subnet);

struct ServicePort {
  std::string protocol = "tcp";          // tcp udp sctp
  uint32_t port = 0;                     // on the VIP
  uint32_t target = 0;                   // on the container; JSON "targetPort"
  uint32_t published = 0;                // on every node; 0: not published
  std::string publish_mode = "ingress";  // ingress host
  std::string name;  // of the SRV record _NAME._PROTOCOL.SERVICE beside the number (RFC 6335); empty: none
};

struct HealthCheck {
  std::string type = "tcp";  // tcp http
  uint32_t port = 0;         // 0: the first target port
  std::string path = "/";    // http only
  std::string host;          // http only: Host header; empty: the endpoint's address
  uint32_t interval_ms = 1000;
  uint32_t timeout_ms = 500;
  uint32_t unhealthy_after = 2;
  uint32_t healthy_after = 1;
};

// state/services/NETWORK/NAME.json. Writer: fairleadctl or the cluster's operator.
struct Service {
  std::string network;
  std::string name;
  std::vector<Address> vips;          // empty with endpointMode dnsrr; at most one per family
  std::string endpoint_mode = "vip";  // vip dnsrr
  std::vector<ServicePort> ports;
  std::string scheduler = "rr";  // rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh
  uint32_t affinity_seconds = 0;
  std::optional<HealthCheck> health;
  std::vector<std::string> http_hosts;  // JSON "http":[{"host":"web.example.com"}]
  uint32_t drain_ms = 10000;
  std::vector<std::pair<std::string, uint32_t>> weights;  // endpoint name or address → weight; others 1
  std::string extra;
};
Result<Service> decode_service(const Json& json, const std::string& source);
std::string encode(const Service& service);

// One published port of one container (CNI capability portMappings).
struct PortMapping {
  std::string protocol = "tcp";
  uint32_t host_port = 0;
  uint32_t container_port = 0;
  std::string host_ip;  // empty: every address of the node
};

// What a container may send and receive (CNI capability bandwidth): bits per second, and bits that may come at once.
// 0: no limit. A rate has a burst.
struct Bandwidth {
  uint64_t ingress_rate = 0, ingress_burst = 0;  // into the container
  uint64_t egress_rate = 0, egress_burst = 0;    // out of it
  bool any() const { return ingress_rate || egress_rate; }
  friend bool operator==(const Bandwidth&, const Bandwidth&) = default;
};
// What the kernel's token bucket can hold (tc_tbf: burst and queue in 32 bits of bytes).
inline constexpr uint64_t kMaxBurstBits = uint64_t{UINT32_MAX} * 8, kMinRateBits = 8,
                          kMaxRateBits = 1'000'000'000'000'000;

// run/endpoints/NETWORK/CONTAINER-IFNAME.json. Writer: whoever attached the container (CNI plugin, Docker plugin).
struct Endpoint {
  std::string network;
  std::string container;
  std::string ifname;
  std::string netns;         // path as the runtime gave it
  uint32_t netns_inode = 0;  // which namespace that was (state/netns_id.h); 0: not written down
  std::string node;
  std::vector<Address> addresses;  // at most one per family
  Mac mac;
  std::string host_ifname;  // the veth end in the router
  uint32_t mtu = 0;
  std::vector<std::string> names;     // DNS names of this container
  std::vector<std::string> aliases;   // shared names
  std::vector<std::string> services;  // services of this network it backs
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<PortMapping> port_mappings;
  Bandwidth bandwidth;
  uint32_t attempt = 0;         // of the ADD that waits for the report on port_mappings; 0: nobody does
  std::string ipam;             // type of the IPAM plugin that owns the addresses
  std::string state = "ready";  // starting ready stopping
  std::string extra;

  std::optional<Address> address(int family) const;
  std::string key() const;  // attachment_key(container, ifname)
  uint32_t weight() const;  // label fairlead.weight, else 1
};
Result<Endpoint> decode_endpoint(const Json& json, const std::string& source);
std::string encode(const Endpoint& endpoint);

// run/health/NETWORK/SERVICE.json. Writer: fairlead-lb. Endpoints it does not name are healthy.
struct ServiceHealth {
  std::string network;
  std::string service;
  std::vector<std::string> unhealthy;  // attachment keys (Endpoint::key())
  std::string extra;
};
Result<ServiceHealth> decode_health(const Json& json, const std::string& source);
std::string encode(const ServiceHealth& health);

// run/ports/NETWORK/ATTACHMENT.json. Writer: fairlead-lb. What became of an endpoint's portMappings.
struct PortReport {
  std::string network;
  std::string attachment;  // Endpoint::key()
  uint32_t attempt = 0;    // Endpoint::attempt this is about: an earlier attachment of that name is another matter
  bool answers = false;    // the kernel has every mapping
  std::string problem;     // why not, and what to do; empty while it is only a matter of time
  std::string extra;
  friend bool operator==(const PortReport&, const PortReport&) = default;
};
Result<PortReport> decode_port_report(const Json& json, const std::string& source);
std::string encode(const PortReport& report);

// run/routers/NETWORK.json. Writer: fairlead-agent (realise or daemon).
struct Router {
  std::string network;
  uint32_t vni = 0;
  std::string netns;       // name under /run/netns: fl-<vni in hex>
  uint32_t index = 0;      // unique per node; the uplink addresses come from it
  std::string uplink;      // interface on the host; in the router it is "ul"
  Address host4, router4;  // 169.254.64.0/18, a /31 per router
  Address host6, router6;  // fd57:64::/32, a /112 per router
  uint32_t mtu = 0;
  std::string extra;
};
Result<Router> decode_router(const Json& json, const std::string& source);
std::string encode(const Router& router);

}  // namespace fairlead
