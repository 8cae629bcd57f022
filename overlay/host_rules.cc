#include "overlay/host_rules.h"

#include "overlay/names.h"
#include "overlay/router_rules.h"
#include "overlay/tunnel_rules.h"

namespace fairlead::overlay {
namespace {

constexpr const char* kEstablished = "    ct state vmap { established : accept, related : accept, invalid : drop }\n";

std::string forward(const HostRuleFacts& facts, const TunnelRules& tunnel) {
  std::string text =
      "  chain forward {\n"
      "    type filter hook forward priority filter; policy accept;\n" +
      tunnel.forward +
      "    iifname \"ul*\" goto from_router\n"
      "    oifname \"ul*\" goto to_router\n";
  const std::string foreign = "meta iifkind != \"bridge\" meta oifkind != \"bridge\" counter drop\n";
  if (facts.opened4) text += "    meta nfproto ipv4 " + foreign;
  if (facts.opened6) text += "    meta nfproto ipv6 " + foreign;
  return text + "  }\n";
}

std::string between(const HostRuleFacts& facts) {
  // Before the established flows: a flow that began while somebody had flushed the rules must not live on.
  return "  chain from_router {\n"
         "    " +
         tunnel_ports(facts) +
         " counter drop comment \"only the kernel sends VXLAN\"\n"
         "    meta l4proto esp counter drop\n"
         "    udp dport " +
         std::to_string(kEspInUdpPort) + " counter drop comment \"only the kernel sends ESP\"\n" + kEstablished +
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

std::string local(const TunnelRules& tunnel) {
  return "  chain prerouting {\n"
         "    type filter hook prerouting priority raw; policy accept;\n"
         // route_localnet is on for uplinks: without this a neighbour could reach what listens on 127.0.0.1
         // (CVE-2020-8558).
         "    ip daddr 127.0.0.0/8 iifname != \"lo\" counter drop\n" +
         tunnel.prerouting + "  }\n" +
         (tunnel.raw_output.empty() ? ""
                                    : "  chain tunnel {\n"
                                      "    type filter hook output priority raw; policy accept;\n" +
                                          tunnel.raw_output + "  }\n") +
         "  chain input {\n"
         "    type filter hook input priority filter; policy accept;\n"
         "    iifname \"ul*\" goto to_host\n" +
         tunnel.input +
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
         tunnel.output + "  }\n";
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
  const auto tunnel = tunnel_rules(facts);
  return replace_table(kHostTable) + "table inet " + kHostTable + " {\n" + tunnel.chains + local(tunnel) +
         forward(facts, tunnel) + between(facts) + postrouting(facts) + "}\n";
}

}  // namespace fairlead::overlay
