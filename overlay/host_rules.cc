#include "overlay/host_rules.h"

#include <set>

#include "overlay/names.h"
#include "overlay/router_rules.h"
#include "overlay/wireguard_rules.h"

namespace fairlead::overlay {
namespace {

constexpr const char* kEstablished = "    ct state vmap { established : accept, related : accept, invalid : drop }\n";

std::string forward(const HostRuleFacts& facts, const WireguardRules& wireguard) {
  std::string text =
      "  chain forward {\n"
      "    type filter hook forward priority filter; policy accept;\n" +
      wireguard.forward +
      "    iifname \"ul*\" goto from_router\n"
      "    oifname \"ul*\" goto to_router\n";
  const std::string foreign = "meta iifkind != \"bridge\" meta oifkind != \"bridge\" counter drop\n";
  if (facts.opened4) text += "    meta nfproto ipv4 " + foreign;
  if (facts.opened6) text += "    meta nfproto ipv6 " + foreign;
  return text + "  }\n";
}

template <class List, class Text>
std::string set_of(const List& list, Text text) {
  std::string out;
  for (const auto& item : list) out += (out.empty() ? "{ " : ", ") + text(item);
  return out + " }";
}

std::string ports(const HostRuleFacts& facts) {
  std::set<uint16_t> all{kVxlanPort, kIpsecVxlanPort, kWireguardVxlanPort};
  all.insert(facts.ports.begin(), facts.ports.end());
  return "udp dport " + set_of(all, [](uint16_t port) { return std::to_string(port); });
}

std::string between(const HostRuleFacts& facts) {
  // Before the established flows: a flow that began while somebody had flushed the rules must not live on.
  return "  chain from_router {\n"
         "    " +
         ports(facts) +
         " counter drop comment \"only the kernel sends VXLAN\"\n"
         "    meta l4proto esp counter drop\n" +
         kEstablished +
         "    oifname \"ul*\" goto to_router\n"
         "    accept\n"
         "  }\n"
         "  chain to_router {\n" +
         kEstablished +
         "    ct status dnat accept comment \"published port\"\n"
         "    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n"
         "    counter drop comment \"deny by default\"\n"
         "  }\n";
}

std::vector<Address> of_family(const std::vector<Address>& addresses, bool v4) {
  std::vector<Address> out;
  for (const auto& a : addresses)
    if (a.is_v4() == v4) out.push_back(a);
  return out;
}

// VXLAN of our networks: only between nodes, only the kernel's. The number is 12 bytes behind the start of the UDP
// header (RFC 7348 section 5). Not tracked: connection tracking would only cost.
struct TunnelRules {
  std::string prerouting, input, output;
};
TunnelRules tunnel_rules(const HostRuleFacts& facts) {
  if (facts.nodes.empty() || facts.vnis.empty()) return {};
  const std::string ours =
      ports(facts) + " @th,96,24 " + set_of(facts.vnis, [](uint32_t vni) { return std::to_string(vni); });
  TunnelRules rules;
  for (bool v4 : {true, false}) {
    const std::string family = v4 ? "ip" : "ip6", protocol = v4 ? "ipv4" : "ipv6";
    auto nodes = of_family(facts.nodes, v4);
    if (nodes.empty()) {
      rules.input += "    meta nfproto " + protocol + " " + ours + " counter drop comment \"not from a node\"\n";
      continue;
    }
    const std::string set = set_of(nodes, [](const Address& a) { return a.to_string(); });
    rules.prerouting += "    " + family + " saddr " + set + " " + ours + " notrack\n";
    rules.input += "    " + family + " saddr != " + set + " " + ours + " counter drop comment \"not from a node\"\n";
    rules.output += "    " + family + " daddr " + set + " " + ours + " notrack\n";
  }
  rules.output =
      "    meta skuid >= 0 " + ours + " counter drop comment \"only the kernel sends VXLAN\"\n" + rules.output;
  return rules;
}

// Also in the chain of other filters' accept: a drop is final, whoever accepted before.
std::string only_encrypted(const HostRuleFacts& facts, const char* unprotected) {
  if (facts.ipsec_ports.empty()) return "";
  return "    udp dport " + set_of(facts.ipsec_ports, [](uint16_t port) { return std::to_string(port); }) + " " +
         unprotected + " counter drop comment \"not encrypted\"\n";
}

// An ICMP error quotes the packet it is about, here one that was decrypted: nobody listens on the port any more, or an
// administrator's rule rejects it. Offsets: ICMP header 8 bytes, then the quoted IP header; protocol, destination port.
std::string no_quotes(const HostRuleFacts& facts) {
  if (facts.ipsec_ports.empty()) return "";
  const std::string ports = set_of(facts.ipsec_ports, [](uint16_t port) { return std::to_string(port); }) +
                            " counter drop comment \"quotes what was encrypted\"\n";
  return "    icmp type { destination-unreachable, source-quench, redirect, time-exceeded, parameter-problem } "
         "@th,136,8 17 @th,240,16 " +
         ports +
         "    icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } "
         "@th,112,8 17 @th,400,16 " +
         ports;
}

std::string local(const HostRuleFacts& facts, const WireguardRules& wireguard) {
  TunnelRules tunnel = tunnel_rules(facts);
  tunnel.prerouting = wireguard.prerouting + tunnel.prerouting;
  tunnel.input = wireguard.input + tunnel.input;
  tunnel.output = wireguard.output + tunnel.output;
  return std::string(
             "  chain prerouting {\n"
             "    type filter hook prerouting priority raw; policy accept;\n"
             // route_localnet is on for uplinks: without this a neighbour could reach what listens on 127.0.0.1
             // (CVE-2020-8558).
             "    iifname != \"lo\" ip daddr 127.0.0.0/8 counter drop\n") +
         tunnel.prerouting + "  }\n" +
         (tunnel.output.empty() ? ""
                                : "  chain tunnel {\n"
                                  "    type filter hook output priority raw; policy accept;\n" +
                                      tunnel.output + "  }\n") +
         "  chain input {\n"
         "    type filter hook input priority filter; policy accept;\n"
         "    iifname \"ul*\" goto to_host\n" +
         only_encrypted(facts, "meta secpath missing") + tunnel.input +
         "  }\n"
         "  chain to_host {\n" +
         kEstablished +
         "    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n"
         "    meta l4proto tcp counter reject with tcp reset\n"
         "    counter reject with icmpx admin-prohibited\n"
         "  }\n"
         // A local process' connection to a published port leaves here with its first route's link, not with ul*.
         "  chain output {\n"
         "    type filter hook output priority filter; policy accept;\n"
         "    oifname \"ul*\" goto to_router\n" +
         only_encrypted(facts, "rt ipsec missing") + no_quotes(facts) + "  }\n";
}

std::string postrouting(const HostRuleFacts& facts) {
  std::string text =
      "  chain postrouting {\n"
      "    type nat hook postrouting priority srcnat; policy accept;\n"
      "    iifname \"ul*\" oifname != \"ul*\" masquerade\n"
      // Sources the router could not answer, or would take for its own.
      "    oifname \"ul*\" ip saddr 127.0.0.0/8 masquerade\n"
      "    oifname \"ul*\" ip6 saddr ::1 masquerade\n"
      "    iifname \"ul*\" oifname \"ul*\" masquerade\n";
  if (!facts.internal_uplinks.empty()) {
    text += "    oifname { ";
    for (size_t i = 0; i < facts.internal_uplinks.size(); i++)
      text += std::string(i ? ", " : "") + "\"" + facts.internal_uplinks[i] + "\"";
    text += " } masquerade comment \"internal networks\"\n";
  }
  return text + "  }\n";
}

}  // namespace

std::string host_rules(const HostRuleFacts& facts) {
  const auto wireguard = wireguard_rules(facts.wireguard_ports);
  return replace_table(kHostTable) + "table inet " + kHostTable + " {\n" + local(facts, wireguard) +
         forward(facts, wireguard) + between(facts) + postrouting(facts) + wireguard.chains + "}\n";
}

}  // namespace fairlead::overlay
