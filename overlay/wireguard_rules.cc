#include "overlay/wireguard_rules.h"

#include <set>

#include "overlay/wireguard_plan.h"

namespace fairlead::overlay {

WireguardRules wireguard_rules(const std::vector<uint16_t>& ports) {
  if (ports.empty()) return {};
  std::string list;
  for (uint16_t port : std::set<uint16_t>(ports.begin(), ports.end()))
    list += (list.empty() ? "" : ", ") + std::to_string(port);
  const std::string ours = "udp dport { " + list + " } ";
  const std::string device = std::string("\"") + kWireguardLink + "\" ";
  WireguardRules rules;
  // Not tracked, as all VXLAN: it would only cost.
  rules.prerouting = "    iifname " + device + ours + "notrack\n";
  rules.output = "    oifname " + device + "meta skuid >= 0 counter drop comment \"only the kernel sends VXLAN\"\n" +
                 "    oifname " + device + ours + "notrack\n";
  rules.input = "    iifname " + device + ours + "accept\n" +  //
                "    iifname " + device + "counter drop comment \"only VXLAN\"\n" + "    " + ours +
                "counter drop comment \"not by WireGuard\"\n";
  rules.forward = "    iifname " + device + "counter drop\n" +  //
                  "    oifname " + device + "counter drop\n";
  // As late as can be: the way out may still change in the output hook (a mark, a translated address).
  rules.chains =
      "  chain wireguard {\n"
      "    type filter hook postrouting priority 300; policy accept;\n"
      "    oifname != " +
      device + ours + "counter drop comment \"by WireGuard or not at all\"\n  }\n";
  return rules;
}

}  // namespace fairlead::overlay
