// The routes of a container's interface, for containers with one network and with several. Pure.
//
// The interface's number (eth0: 0, eth1: 1, net0: 0) decides which network has the default route, because the order of
// ADDs does not: Podman and containerd attach a container's networks in any order, or all at once. Number 0 has the
// plain default route, number N one with metric 1024+N, which the kernel uses when those before it are gone. What is
// sent from a further interface's address leaves by that interface whoever has the default route (a rule and a table of
// its own, both numbered 1024+N): an answer to a client of a published port would be a forgery in any other network.
#pragma once

#include <string_view>
#include <vector>

#include "base/ip.h"
#include "kernel/rule.h"
#include "state/records.h"

namespace fairlead::overlay {

struct ContainerRoute {
  Prefix destination;
  Address gateway;                                        // none: on the link itself
  uint32_t mtu = 0, advmss = 0, priority = 0, table = 0;  // table 0: main
  uint8_t scope = 0;                                      // rtm_scope; IPv6 has none
  friend bool operator==(const ContainerRoute&, const ContainerRoute&) = default;
};

// The number at the end of an interface's name, at most its last six digits; 0 when there is none.
uint32_t interface_number(std::string_view ifname);
// Metric, table and rule priority of a further interface; 0 for a first one.
uint32_t further_number(std::string_view ifname);

// Default routes through the gateways; on an internal network, and beside the default routes of a further interface,
// the network's own subnets.
std::vector<ContainerRoute> container_routes(const Network& network, const std::vector<Address>& addresses,
                                             std::string_view ifname);
// What makes answers leave by the interface they were asked on; nothing for a first interface and internal networks.
struct SourceRouting {
  std::vector<ContainerRoute> routes;
  std::vector<kernel::Rule> rules;
};
SourceRouting source_routing(const Network& network, const std::vector<Address>& addresses, std::string_view ifname);

}  // namespace fairlead::overlay
