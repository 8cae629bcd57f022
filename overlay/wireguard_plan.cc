#include "overlay/wireguard_plan.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <map>
#include <set>

namespace fairlead::overlay {
namespace {

constexpr uint32_t kNodes = 0xa9fe8000;                  // 169.254.128.0/17
constexpr uint32_t kCloud = 0x2900, kCloudEnd = 0x2b00;  // 169.254.169.0 to 169.254.170.255 therein
constexpr uint32_t kInstead = 0xa9fe3e00;                // 169.254.62.0/23

bool is_ours(const Prefix& destination) {
  static const Prefix nodes{Address::v4(kNodes), 17}, instead{Address::v4(kInstead), 23};
  return destination.length == 32 && (nodes.contains(destination) || instead.contains(destination));
}

PlannedRoute to_peer(uint32_t number, bool behind) {
  PlannedRoute route;
  route.route.destination = {wireguard_address(number), 32};
  if (behind) {
    route.route.type = RTN_UNREACHABLE;
    route.route.metric = kUnreachableMetric;
  } else {
    route.link = kWireguardLink;
  }
  return route;
}

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

Address wireguard_address(uint32_t number) {
  if (number >= kCloud && number < kCloudEnd) return Address::v4(kInstead + number - kCloud);
  return Address::v4(kNodes + number);
}

WireguardPlan plan_wireguard(const std::string& self, const std::vector<WireguardNode>& nodes, uint32_t underlay_mtu) {
  WireguardPlan plan;
  auto own = std::find_if(nodes.begin(), nodes.end(), [&](const auto& n) { return n.name == self; });
  if (own == nodes.end()) return plan;
  plan.port = own->port;
  plan.key = own->key;
  const uint32_t overhead = kWireguardOverhead + (own->underlay.is_v6() ? kIpv6Overhead : 0);
  plan.mtu = underlay_mtu > overhead ? underlay_mtu - overhead : 0;
  plan.wanted.links.push_back({kWireguardLink, {}, plan.mtu});
  plan.wanted.addresses.push_back({kWireguardLink, {wireguard_address(own->number), 32}});
  std::map<kernel::WireguardKey, std::vector<std::string>> users;
  for (const auto& node : nodes) users[node.key].push_back(node.name);
  for (const auto& node : nodes) {
    if (node.name == self || node.number == own->number || node.underlay.family() != own->underlay.family()) continue;
    for (bool behind : {true, false}) plan.wanted.routes.push_back(to_peer(node.number, behind));
    if (node.key == kernel::WireguardKey{})
      plan.problems.push_back(node.name + " has told no WireGuard key yet");
    else if (const auto& all = users[node.key]; all.size() > 1)
      plan.problems.push_back(node.name + " has the WireGuard key of another node (" + join(all) +
                              "), so it is nobody's: make a new one on each of them");
    else
      plan.peers.push_back({node.key, node.underlay, node.port, {{wireguard_address(node.number), 32}}});
  }
  std::sort(plan.peers.begin(), plan.peers.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  return plan;
}

WireguardDifference wireguard_difference(const WireguardPlan& plan, const std::vector<kernel::WireguardPeer>& there) {
  WireguardDifference difference;
  std::map<kernel::WireguardKey, const kernel::WireguardPeer*> known;
  for (const auto& peer : there) known[peer.key] = &peer;
  for (const auto& peer : plan.peers) {
    auto found = known.find(peer.key);
    if (found == known.end() || *found->second != peer) difference.set.push_back(peer);
    if (found != known.end()) known.erase(found);
  }
  for (const auto& [key, peer] : known) difference.remove.push_back(key);
  return difference;
}

std::vector<Repair> stale_wireguard_routes(const WireguardPlan& plan, const std::vector<kernel::Route>& routes) {
  std::set<Prefix> wanted;
  for (const auto& route : plan.wanted.routes) wanted.insert(route.route.destination);
  std::vector<Repair> out;
  for (const auto& route : routes)
    if (route.protocol == kernel::kRouteProtocol && route.table == RT_TABLE_MAIN && is_ours(route.destination) &&
        !wanted.count(route.destination))
      out.push_back({"stale", kernel::delete_route(route)});
  return out;
}

}  // namespace fairlead::overlay
