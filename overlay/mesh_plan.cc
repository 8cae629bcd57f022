#include "overlay/mesh_plan.h"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <set>

#include "overlay/host_rules.h"

namespace fairlead::overlay {

MeshPlan plan_mesh(const Network& network, const Mesh& mesh, uint32_t mtu) {
  MeshPlan plan;
  plan.device.name = kOverlayLink;
  plan.device.vni = network.vni;
  plan.device.local = tunnel_address(network, mesh.number, mesh.underlay);
  plan.device.port = vxlan_port(network);
  plan.device.mac = node_mac(mesh.number);
  plan.device.mtu = mtu;
  // The rules check sources; a client of a port published on another node comes with an address that routes elsewhere.
  plan.sysctls.push_back({std::string("net/ipv4/conf/") + kOverlayLink + "/rp_filter", "0"});
  Wanted& w = plan.wanted;
  w.links.push_back({kOverlayLink, plan.device.mac, mtu});
  for (const auto& subnet : network.subnets) {
    const Address own = node_address(subnet.family(), mesh.number);
    w.addresses.push_back({kOverlayLink, Prefix{own, own.bits()}});
  }
  // Unmarked packets do not walk along the nodes' rules (with 500 of them that cost a third of the throughput).
  if (!mesh.peers.empty())
    for (const auto& subnet : network.subnets)
      w.policy.push_back({subnet.family(), kUnmarkedRulePriority, 0, RT_TABLE_MAIN, {}, kIngressMask});
  for (const auto& peer : mesh.peers) {
    plan.forwarding.push_back({node_mac(peer.number), tunnel_address(network, peer.number, peer.underlay)});
    for (const auto& subnet : network.subnets)
      w.neighbours.push_back({kOverlayLink, node_address(subnet.family(), peer.number), node_mac(peer.number)});
    for (const auto& subnet : network.subnets) {
      const int family = subnet.family();
      const uint32_t mark = kIngressMark + peer.number, table = kIngressTable + peer.number;
      PlannedRoute back;
      back.link = kOverlayLink;
      back.route.destination = default_route(family);
      back.route.gateway = node_address(family, peer.number);
      back.route.onlink = true;
      back.route.table = table;
      w.routes.push_back(back);
      w.policy.push_back({family, kIngressRulePriority, mark, table});
    }
    for (const auto& block : peer.blocks) {
      PlannedRoute route;
      route.link = kOverlayLink;
      route.route.destination = block;
      route.route.gateway = node_address(block.family(), peer.number);
      route.route.onlink = true;
      w.routes.push_back(route);
    }
  }
  return plan;
}

bool same_device(const kernel::VxlanSpec& wanted, const kernel::Vxlan& there) {
  return wanted.vni == there.vni && wanted.local == there.local && wanted.port == there.port && !there.learning;
}

std::vector<Repair> mesh_difference(const MeshPlan& plan, const Observed& observed, uint32_t device,
                                    const std::vector<kernel::Forwarding>& forwarding) {
  std::vector<Repair> out;
  std::set<std::pair<Prefix, std::optional<Address>>> routes;
  for (const auto& r : plan.wanted.routes) routes.insert({r.route.destination, r.route.gateway});
  for (const auto& r : observed.routes)
    if (r.index == device && r.type == RTN_UNICAST && r.protocol == kernel::kRouteProtocol &&
        !routes.count({r.destination, r.gateway}))
      out.push_back({"stale", kernel::delete_route(r)});
  std::set<Address> neighbours;
  for (const auto& n : plan.wanted.neighbours) neighbours.insert(n.address);
  for (const auto& n : observed.neighbours)
    if (n.index == device && n.permanent && !neighbours.count(n.address))
      out.push_back({"stale", kernel::delete_neighbour(device, n.address)});
  for (const auto& rule : observed.policy)
    if ((rule.priority == kUnmarkedRulePriority || rule.priority == kIngressRulePriority) &&
        std::find(plan.wanted.policy.begin(), plan.wanted.policy.end(), rule) == plan.wanted.policy.end())
      out.push_back({"stale", kernel::delete_rule(rule)});
  auto has = [](const std::vector<kernel::Forwarding>& list, const kernel::Forwarding& entry) {
    return std::find(list.begin(), list.end(), entry) != list.end();
  };
  for (const auto& entry : forwarding)
    if (!has(plan.forwarding, entry)) out.push_back({"stale", kernel::delete_forwarding(device, entry)});
  for (const auto& entry : plan.forwarding)
    if (!has(forwarding, entry)) out.push_back({"forwarding", kernel::set_forwarding(device, entry)});
  return out;
}

}  // namespace fairlead::overlay
