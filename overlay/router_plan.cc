#include "overlay/router_plan.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>

#include "overlay/names.h"
#include "overlay/router_rules.h"
#include "overlay/wireguard_plan.h"

namespace fairlead::overlay {
namespace {

// The ends of the uplink know each other's MAC beforehand: no ARP or ND, whatever the host's arp_* settings are.
Mac uplink_mac(uint8_t side, uint32_t index) {
  return Mac{{0x02, 0x57, side, 0, static_cast<uint8_t>(index >> 8), static_cast<uint8_t>(index)}};
}

void all_and_default(std::vector<Sysctl>& out, const std::string& family, const std::string& name,
                     const std::string& value) {
  out.push_back({"net/" + family + "/conf/all/" + name, value});
  out.push_back({"net/" + family + "/conf/default/" + name, value});
}

std::vector<Sysctl> router_sysctls(const Network& network) {
  std::vector<Sysctl> out;
  if (uses_family(network, AF_INET6)) {
    out.push_back({"net/ipv6/conf/all/forwarding", "1"});
    // Redirects and advertisements are how a container would change the routes of everybody else
    // (CVE-2020-10749, CVE-2020-13401).
    all_and_default(out, "ipv6", "accept_ra", "0");
    all_and_default(out, "ipv6", "accept_redirects", "0");
    all_and_default(out, "ipv6", "accept_source_route", "0");
    out.push_back({"net/ipv6/conf/default/autoconf", "0"});
    out.push_back({"net/ipv6/conf/default/accept_dad", "0"});
    out.push_back({"net/ipv6/conf/default/addr_gen_mode", "1"});  // IN6_ADDR_GEN_MODE_NONE
  } else {
    // Not even link-local: IPv6 would be a way round the IPv4 rules (CVE-2024-32473).
    all_and_default(out, "ipv6", "disable_ipv6", "1");
  }
  out.push_back({"net/ipv4/ip_forward", uses_family(network, AF_INET) ? "1" : "0"});
  // Without it a learnt path MTU is not used for forwarded packets, and large ones vanish inside the overlay.
  out.push_back({"net/ipv4/ip_forward_use_pmtu", "1"});
  all_and_default(out, "ipv4", "accept_redirects", "0");
  all_and_default(out, "ipv4", "secure_redirects", "0");
  all_and_default(out, "ipv4", "send_redirects", "0");
  all_and_default(out, "ipv4", "accept_source_route", "0");
  all_and_default(out, "ipv4", "route_localnet", "0");
  // The larger of all/ and the link's own counts (fib_frontend.c). Strict on container links: an ARP request whose
  // sender address is not the container's makes no neighbour entry, which a container could otherwise fill the
  // machine-wide table with.
  out.push_back({"net/ipv4/conf/all/rp_filter", "0"});
  out.push_back({"net/ipv4/conf/default/rp_filter", "1"});
  return out;
}

UplinkEnd uplink_end(const Network& network, uint32_t index, const std::string& link, bool inside,
                     const Router& router) {
  UplinkEnd end;
  const uint8_t own = inside ? 0xfd : 0xfe, other = inside ? 0xfe : 0xfd;
  end.mac = uplink_mac(own, index);
  const std::string conf4 = "net/ipv4/conf/" + link + "/", conf6 = "net/ipv6/conf/" + link + "/";
  if (uses_family(network, AF_INET)) {
    end.addresses.push_back({inside ? router.router4 : router.host4, 31});
    end.peer4 = {link, inside ? router.host4 : router.router4, uplink_mac(other, index)};
    if (inside) {
      end.sysctls.push_back({conf4 + "rp_filter", "0"});  // clients of published ports come with their own addresses
    } else {
      // A local client of 127.0.0.1:PORT: the reply is turned back to 127.0.0.1 before the route lookup.
      end.sysctls.push_back({conf4 + "route_localnet", "1"});
      end.sysctls.push_back({conf4 + "forwarding", "1"});
    }
    end.sysctls.push_back({conf4 + "accept_redirects", "0"});
    end.sysctls.push_back({conf4 + "send_redirects", "0"});
  }
  if (uses_family(network, AF_INET6)) {
    end.addresses.push_back({inside ? router.router6 : router.host6, 112});
    end.peer6 = {link, inside ? router.host6 : router.router6, uplink_mac(other, index)};
    if (!inside) {
      end.sysctls.push_back({conf6 + "disable_ipv6", "0"});   // a host may have it off by default
      end.sysctls.push_back({conf6 + "addr_gen_mode", "1"});  // no link-local address, as in the router
      end.sysctls.push_back({conf6 + "accept_ra", "0"});
      end.sysctls.push_back({conf6 + "accept_redirects", "0"});
      end.sysctls.push_back({conf6 + "forwarding", "1"});
    }
  } else if (!inside) {
    end.sysctls.push_back({conf6 + "disable_ipv6", "1"});
  }
  return end;
}

}  // namespace

Prefix default_route(int family) {
  const uint8_t zero[16]{};
  return {Address::from_bytes(family, zero), 0};
}

bool uses_family(const Network& network, int family) { return network.subnets.empty() || network.subnet(family); }

RouterPlan plan_router(const Network& network, const Router& router, const Mesh* mesh) {
  RouterPlan plan;
  plan.sysctls = router_sysctls(network);
  plan.inside = uplink_end(network, router.index, kRouterUplink, true, router);
  plan.outside = uplink_end(network, router.index, router.uplink, false, router);
  plan.mtu = router.mtu;
  plan.rules = router_rules(network, router, mesh);
  for (const auto& subnet : network.subnets) {
    const Address gateway = *network.gateway(subnet.family());
    plan.gateways.push_back({gateway, gateway.bits()});
    PlannedRoute unknown;
    unknown.route.destination = subnet;
    unknown.route.type = RTN_UNREACHABLE;
    unknown.route.metric = kUnreachableMetric;
    plan.routes.push_back(unknown);
  }
  for (int family : {AF_INET, AF_INET6}) {
    if (!uses_family(network, family)) continue;
    PlannedRoute out;
    out.link = kRouterUplink;
    out.route.destination = default_route(family);
    out.route.gateway = family == AF_INET ? router.host4 : router.host6;
    if (network.internal) {
      // No way out by default: that holds whatever happens to the firewall.
      out.route.table = kReplyTable;
      plan.policy.push_back({family, kReplyRulePriority, kReplyMark, kReplyTable});
    }
    plan.routes.push_back(out);
  }
  return plan;
}

std::vector<PlannedRoute> endpoint_routes(const Endpoint& endpoint) {
  std::vector<PlannedRoute> routes;
  for (const auto& address : endpoint.addresses) {
    PlannedRoute route;
    route.link = endpoint.host_ifname;
    route.route.destination = {address, address.bits()};
    routes.push_back(route);
  }
  return routes;
}

std::vector<PlannedNeighbour> endpoint_neighbours(const Endpoint& endpoint) {
  std::vector<PlannedNeighbour> neighbours;
  for (const auto& address : endpoint.addresses) neighbours.push_back({endpoint.host_ifname, address, endpoint.mac});
  return neighbours;
}

uint32_t container_mtu(const Network& network, uint32_t underlay_mtu, int underlay_family) {
  if (network.mtu != 0) return network.mtu;
  const uint32_t overhead = kOverlayOverhead + (underlay_family == AF_INET6 ? kIpv6Overhead : 0) +
                            (network.encryption == "wireguard" ? kWireguardOverhead : 0);
  uint32_t carried = underlay_mtu > overhead ? underlay_mtu - overhead : 0;
  if (network.encryption == "ipsec" && carried > kEspOverhead) {
    // What is encrypted comes in multiples of four bytes (RFC 4303 section 2.4): UDP, VXLAN and Ethernet header (30),
    // the packet, two bytes of trailer.
    carried -= kEspOverhead;
    carried -= carried % 4;
  }
  const uint32_t lowest = uses_family(network, AF_INET6) ? 1280 : 576;  // RFC 8200 section 5, RFC 791
  return std::max(lowest, carried);
}

}  // namespace fairlead::overlay
