#include "overlay/router_rules.h"

#include <sys/socket.h>

#include <cstdio>

#include "overlay/mesh_plan.h"
#include "overlay/names.h"
#include "overlay/router_plan.h"

namespace fairlead::overlay {
namespace {

const char* word(int family) { return family == AF_INET ? "ip" : "ip6"; }

// "{ 02:57:00:00:00:02 : 2, … }", the value being base + the node's number.
std::string by_router(const Mesh& mesh, uint32_t base) {
  std::string map;
  for (const auto& peer : mesh.peers)
    map += (map.empty() ? "{ " : ", ") + node_mac(peer.number).to_string() + " : " + std::to_string(base + peer.number);
  return map + " }";
}

// What comes over the overlay comes from a router of this network: with the address of a container that is there, or
// with that of a client of a port published there. Plain VXLAN proves nothing about who sent it; that is what
// encryption is for. One client may come through several nodes with one port: a zone per node keeps its connections
// apart.
std::string from_other_nodes(const Network& network, const Mesh& mesh) {
  if (mesh.peers.empty()) return "    iifname \"vx\" counter drop\n";
  std::string macs, text;
  for (const auto& peer : mesh.peers) macs += (macs.empty() ? "" : ", ") + node_mac(peer.number).to_string();
  text = "    iifname \"vx\" ether saddr != { " + macs + " } counter drop comment \"not a router of this network\"\n";
  for (const auto& subnet : network.subnets) {
    const std::string source = std::string("    iifname \"vx\" ") + word(subnet.family()) + " saddr ";
    text += source + subnet.to_string() +
            " fib saddr . iif oif missing counter drop comment \"no other node has this "
            "address\"\n" +
            source + "!= " + subnet.to_string() + " ct original zone set ether saddr map " + by_router(mesh, 0) + "\n";
  }
  return text;
}

std::string prerouting(const Network& network, const Mesh* mesh) {
  // "fib saddr . iif oif missing": the route back to the source does not lead out of the link the packet came in by.
  // Holds for a neighbour's, the gateway's, a VIP's and any outside address (ISO-15), and for what a container with a
  // leg in another network forwards (ISO-05).
  std::string text =
      "  chain prerouting {\n"
      "    type filter hook prerouting priority raw; policy accept;\n"
      "    iifname \"c*\" fib saddr . iif oif missing counter drop comment \"source address is not this "
      "container's\"\n";
  for (const auto& subnet : network.subnets)
    text += std::string("    iifname \"ul\" ") + word(subnet.family()) + " saddr " + subnet.to_string() +
            " counter drop comment \"a container's address from outside\"\n";
  if (mesh) text += from_other_nodes(network, *mesh);
  text +=
      "    iifname != \"lo\" ip daddr 127.0.0.0/8 counter drop\n"
      "  }\n";
  return text;
}

std::string reply_mark() {
  char mark[16];
  snprintf(mark, sizeof mark, "0x%x", kReplyMark);
  return mark;
}

std::string hex(uint32_t value) {
  char text[16];
  snprintf(text, sizeof text, "0x%x", value);
  return text;
}

std::string ingress(const char* what) {
  return std::string(what) + " and " + hex(kIngressMask) + " == " + hex(kIngressMark);
}

// Which way a connection came in, so that its replies find back. Behind connection tracking, before the route.
// Internal networks have no default route but by kReplyMark.
std::string marking(const Network& network, const Mesh* mesh) {
  const bool nodes = mesh && !mesh->peers.empty();
  if (!network.internal && !nodes) return "";
  std::string text =
      "  chain marking {\n"
      "    type filter hook prerouting priority mangle; policy accept;\n";
  if (network.internal)
    text += "    iifname \"ul\" ct state new ct mark set " + reply_mark() + "\n    iifname " +
            (nodes ? "{ \"c*\", \"vx\" }" : "\"c*\"") + " ct direction reply ct mark " + reply_mark() +
            " meta mark set " + reply_mark() + "\n";
  if (nodes) {
    for (const auto& subnet : network.subnets)
      text += std::string("    iifname \"vx\" ct state new ") + word(subnet.family()) +
              " saddr != " + subnet.to_string() + " ct mark set ether saddr map " + by_router(*mesh, kIngressMark) +
              "\n";
    text += "    iifname \"c*\" ct direction reply " + ingress("ct mark") + " meta mark set ct mark\n";
  }
  text += "  }\n";
  // The mark goes out with the packet and would count in the host's routing and IPsec.
  if (nodes)
    text +=
        "  chain unmarking {\n"
        "    type filter hook postrouting priority mangle; policy accept;\n"
        "    oifname \"vx\" meta mark set 0\n"
        "  }\n";
  return text;
}

std::string forward(const Network& network, const Mesh* mesh) {
  std::string text =
      "  chain forward {\n"
      "    type filter hook forward priority filter; policy drop;\n";
  // A container may have a larger MTU than the way to another node (its runtime's choice, an underlay that shrank).
  if (mesh) text += "    oifname \"vx\" tcp flags syn / syn,rst tcp option maxseg size set rt mtu\n";
  text +=
      "    ct state vmap { established : accept, related : goto errors, invalid : drop }\n"
      // Neighbour discovery is between a link's two ends; connection tracking lets it through untracked.
      "    icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect } "
      "counter drop\n";
  const std::string out = std::string(network.internal ? "" : ", \"ul\"") + (mesh ? ", \"vx\"" : "");
  text += "    iifname \"c*\" oifname " + (out.empty() ? "\"c*\"" : "{ \"c*\"" + out + " }") + " accept\n";
  if (mesh) text += "    iifname \"vx\" oifname \"c*\" accept\n";
  text += std::string("    iifname \"ul\" oifname ") + (mesh ? "{ \"c*\", \"vx\" }" : "\"c*\"") +
          " ct status dnat accept comment \"published port\"\n";
  text +=
      "    iifname \"c*\" counter reject with icmpx admin-prohibited\n"
      "    counter\n"
      "  }\n"
      // A redirect is an error message to connection tracking: it would pass as related to any known flow.
      "  chain errors {\n"
      "    icmp type redirect counter drop\n"
      "    accept\n"
      "  }\n";
  return text;
}

std::string input(const Network& network, const Router& router) {
  std::string text =
      "  chain input {\n"
      "    type filter hook input priority filter; policy drop;\n"
      "    iifname \"lo\" accept\n"
      "    ct state vmap { established : accept, related : accept, invalid : drop }\n"
      "    iifname \"c*\" goto from_container\n"
      "    iifname \"ul\" goto from_uplink\n"
      "  }\n"
      "  chain from_container {\n";
  for (const auto& subnet : network.subnets) {
    const int family = subnet.family();
    const std::string gateway = std::string("    ") + word(family) + " daddr " + network.gateway(family)->to_string();
    text += gateway + " udp dport 53 accept\n" + gateway + " tcp dport 53 accept\n";
    if (auto pool = network.vip_pool(family))
      text += std::string("    ") + word(family) + " daddr " + pool->to_string() + " accept comment \"services\"\n";
  }
  text +=
      "    icmp type echo-request accept\n"
      "    icmpv6 type { echo-request, nd-neighbor-solicit, nd-neighbor-advert } accept\n"
      // Never answered, so that a scanner of advertisements learns nothing; everything else is refused at once.
      "    icmpv6 type { nd-router-solicit, nd-router-advert, nd-redirect } counter drop\n"
      "    meta l4proto tcp counter reject with tcp reset\n"
      "    counter reject with icmpx admin-prohibited\n"
      "  }\n"
      // Only what the host sent here by DNAT arrives (overlay/host_rules.h); the balancer sits behind this address.
      "  chain from_uplink {\n";
  if (uses_family(network, AF_INET)) text += "    ip daddr " + router.router4.to_string() + " ct state new accept\n";
  if (uses_family(network, AF_INET6))
    text += "    ip6 daddr " + router.router6.to_string() +
            " ct state new accept\n"
            "    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n";
  text +=
      "    counter drop\n"
      "  }\n";
  return text;
}

std::string postrouting(const Network& network, const Router& router, const Mesh* mesh) {
  std::string text =
      "  chain postrouting {\n"
      "    type nat hook postrouting priority srcnat; policy accept;\n";
  for (int family : {AF_INET, AF_INET6}) {
    if (!uses_family(network, family)) continue;
    const std::string to = std::string("snat ") + word(family) + " to ";
    // The host sees the uplink address, never a container's: networks with equal subnets stay apart, and the host's
    // reverse path filter finds the way back.
    if (!network.internal)
      text += "    iifname \"c*\" oifname \"ul\" " + to +
              (family == AF_INET ? router.router4 : router.router6).to_string() + "\n";
    // A container of an internal network can only answer addresses of its own subnet.
    else if (auto gateway = network.gateway(family)) {
      text += "    oifname \"c*\" ct mark " + reply_mark() + " " + to + gateway->to_string() + "\n";
      if (mesh) text += "    oifname \"c*\" " + ingress("ct mark") + " " + to + gateway->to_string() + "\n";
    }
  }
  return text + "  }\n";
}

}  // namespace

std::string replace_table(const std::string& name) {
  return "table inet " + name + " {}\ndelete table inet " + name + "\n";
}

std::string router_rules(const Network& network, const Router& router, const Mesh* mesh) {
  return replace_table(kRouterTable) + "table inet " + kRouterTable + " {\n" + prerouting(network, mesh) +
         marking(network, mesh) + forward(network, mesh) + input(network, router) + postrouting(network, router, mesh) +
         "}\n";
}

}  // namespace fairlead::overlay
