#include "overlay/tunnel_rules.h"

#include <algorithm>
#include <set>

#include "overlay/names.h"
#include "overlay/router_rules.h"
#include "overlay/wireguard_plan.h"

namespace fairlead::overlay {
namespace {

const std::string kDevice = std::string("\"") + kWireguardLink + "\" ";

template <class List, class Text>
std::string set_of(const List& list, Text text) {
  std::string out;
  for (const auto& item : list) out += (out.empty() ? "{ " : ", ") + text(item);
  return out + " }";
}

std::string numbers(const std::set<uint16_t>& ports) {
  return set_of(ports, [](uint16_t port) { return std::to_string(port); });
}

std::string addresses(const std::vector<Address>& all, bool v4) {
  std::vector<Address> family;
  std::copy_if(all.begin(), all.end(), std::back_inserter(family), [&](const Address& a) { return a.is_v4() == v4; });
  return family.empty() ? "" : set_of(family, [](const Address& a) { return a.to_string(); });
}

std::string chain(const std::string& name, const std::string& rules) {
  return rules.empty() ? "" : "  chain " + name + " {\n" + rules + "  }\n";
}

// The ports by what protects them, and the lines of a hook's chain that lead each to its own.
struct Ports {
  std::set<uint16_t> plain, ipsec, wireguard;

  explicit Ports(const HostRuleFacts& facts)
      : plain{kVxlanPort, kIpsecVxlanPort, kWireguardVxlanPort},
        ipsec(facts.ipsec_ports.begin(), facts.ipsec_ports.end()),
        wireguard(facts.wireguard_ports.begin(), facts.wireguard_ports.end()) {
    plain.insert(facts.ports.begin(), facts.ports.end());
    for (const auto* others : {&ipsec, &wireguard})
      for (uint16_t port : *others) plain.erase(port);
  }

  // Chains by name; none: nothing to say about such ports.
  std::string lead(const char* to_plain, const char* to_ipsec, const char* to_wireguard) const {
    std::string map;
    auto add = [&](const std::set<uint16_t>& ports, const char* chain) {
      if (!chain) return;
      for (uint16_t port : ports) map += (map.empty() ? "" : ", ") + std::to_string(port) + " : goto " + chain;
    };
    add(plain, to_plain);
    add(ipsec, to_ipsec);
    add(wireguard, to_wireguard);
    return map.empty() ? "" : "    udp dport vmap { " + map + " }\n";
  }
};

// VXLAN of our networks. The number is 12 bytes behind the start of the UDP header (RFC 7348 section 5); with other
// numbers it is somebody else's. Not tracked: connection tracking would only cost.
struct BetweenNodes {
  std::string from, to, in, only_kernel;

  explicit BetweenNodes(const HostRuleFacts& facts) {
    if (facts.nodes.empty() || facts.vnis.empty()) return;
    const std::string ours = "@th,96,24 " + set_of(facts.vnis, [](uint32_t vni) { return std::to_string(vni); });
    only_kernel = "    meta skuid >= 0 " + ours + " counter drop comment \"only the kernel sends VXLAN\"\n";
    for (bool v4 : {true, false}) {
      const std::string family = v4 ? "ip" : "ip6", nodes = addresses(facts.nodes, v4);
      if (nodes.empty()) {
        in += "    meta nfproto " + std::string(v4 ? "ipv4 " : "ipv6 ") + ours +
              " counter drop comment \"not from a node\"\n";
        continue;
      }
      from += "    " + family + " saddr " + nodes + " " + ours + " notrack\n";
      to += "    " + family + " daddr " + nodes + " " + ours + " notrack\n";
      in += "    " + family + " saddr != " + nodes + " " + ours + " counter drop comment \"not from a node\"\n";
    }
  }
};

void add_ipsec(const Ports& ports, const BetweenNodes& between, TunnelRules& rules) {
  if (ports.ipsec.empty()) return;
  // Also in the chain of other filters' accept: a drop is final, whoever accepted before.
  rules.output = "    udp dport " + numbers(ports.ipsec) + " rt ipsec missing counter drop comment \"not encrypted\"\n";
  rules.chains += chain("ipsec_in", "    meta secpath missing counter drop comment \"not encrypted\"\n" + between.in);
}

void add_wireguard(const Ports& ports, const BetweenNodes& between, TunnelRules& rules) {
  if (ports.wireguard.empty()) return;
  rules.raw_output = "    oifname " + kDevice +
                     "meta skuid >= 0 counter drop comment \"only the kernel sends VXLAN\"\n" + rules.raw_output;
  rules.input += "    iifname " + kDevice + "counter drop comment \"only VXLAN\"\n";
  rules.forward = "    iifname " + kDevice + "counter drop\n" +  //
                  "    oifname " + kDevice + "counter drop\n";
  rules.chains +=
      chain("wireguard_from", "    iifname " + kDevice + "notrack\n") +
      chain("wireguard_to", between.only_kernel + "    oifname " + kDevice + "notrack\n") +
      chain("wireguard_in", "    iifname " + kDevice + "accept\n    counter drop comment \"not by WireGuard\"\n") +
      // As late as can be: the way out may still change in the output hook (a mark, a translated address).
      "  chain wireguard {\n"
      "    type filter hook postrouting priority 300; policy accept;\n"
      "    udp dport " +
      numbers(ports.wireguard) + " oifname != " + kDevice +
      "counter drop comment \"by WireGuard or not at all\"\n  }\n";
}

}  // namespace

TunnelRules tunnel_rules(const HostRuleFacts& facts) {
  const Ports ports(facts);
  const BetweenNodes between(facts);
  const bool nodes = !between.in.empty(), wireguard = !ports.wireguard.empty();
  TunnelRules rules;
  rules.prerouting = ports.lead(nodes ? "tunnel_from" : nullptr, nodes ? "tunnel_from" : nullptr, "wireguard_from");
  rules.raw_output = ports.lead(nodes ? "tunnel_to" : nullptr, nodes ? "tunnel_to" : nullptr, "wireguard_to");
  rules.input = ports.lead(nodes ? "tunnel_in" : nullptr, "ipsec_in", "wireguard_in");
  if (nodes)
    rules.chains =
        chain("tunnel_from", between.from) + chain("tunnel_to", between.only_kernel + between.to) +
        chain("tunnel_in",
              (wireguard ? "    iifname " + kDevice + "counter drop comment \"only VXLAN\"\n" : "") + between.in);
  add_ipsec(ports, between, rules);
  add_wireguard(ports, between, rules);
  return rules;
}

// Offsets: ICMP header 8 bytes, then the quoted IP header; protocol, destination port.
std::string quote_rules(const std::vector<uint16_t>& ports) {
  const std::string drop =
      numbers({ports.begin(), ports.end()}) + " counter drop comment \"quotes what was encrypted\"\n";
  return replace_table(kQuoteTable) + "table inet " + kQuoteTable +
         " {\n"
         "  chain output {\n"
         "    type filter hook output priority filter; policy accept;\n"
         "    meta l4proto { icmp, ipv6-icmp } goto quotes\n"
         "  }\n"
         "  chain quotes {\n"
         "    icmp type { destination-unreachable, source-quench, redirect, time-exceeded, parameter-problem } "
         "@th,136,8 17 @th,240,16 " +
         drop +
         "    icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } "
         "@th,112,8 17 @th,400,16 " +
         drop + "  }\n}\n";
}

std::string tunnel_ports(const HostRuleFacts& facts) {
  std::set<uint16_t> all{kVxlanPort, kIpsecVxlanPort, kWireguardVxlanPort};
  all.insert(facts.ports.begin(), facts.ports.end());
  return "udp dport " + numbers(all);
}

}  // namespace fairlead::overlay
