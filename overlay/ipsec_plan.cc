#include "overlay/ipsec_plan.h"

#include <sys/socket.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "overlay/host_rules.h"

namespace fairlead::overlay {
namespace {

using kernel::Direction;
using kernel::Policy;

constexpr Direction kDirections[] = {Direction::kOut, Direction::kIn, Direction::kForward};

Prefix everything(int family) {
  const uint8_t zero[16]{};
  return {Address::from_bytes(family, zero), 0};
}

Prefix host(const Address& address) { return {address, address.bits()}; }

bool blocks_everything(const Policy& p) {
  return !p.esp && p.priority == kBlockPriority && p.source.length == 0 && p.destination.length == 0;
}

bool has(const std::vector<uint16_t>& ports, uint16_t port) {
  return std::find(ports.begin(), ports.end(), port) != ports.end();
}

}  // namespace

IpsecFacts ipsec_facts(const std::vector<Network>& networks, const std::vector<Node>& nodes, const std::string& self) {
  IpsecFacts facts;
  auto own = std::find_if(nodes.begin(), nodes.end(), [&](const Node& n) { return n.name == self; });
  if (own == nodes.end()) return facts;
  std::set<uint16_t> ports;
  for (const auto& network : networks)
    if (network.encryption == "ipsec" && port_conflict(network, networks).empty()) ports.insert(vxlan_port(network));
  facts.ports.assign(ports.begin(), ports.end());
  facts.self = own->address;
  std::set<Address> peers;
  for (const auto& node : nodes)
    if (node.name != self && node.address.family() == own->address.family() && node.address != own->address)
      peers.insert(node.address);
  facts.peers.assign(peers.begin(), peers.end());
  return facts;
}

Policy block_policy(Direction direction, int family, uint16_t port) {
  Policy p;
  p.direction = direction;
  p.source = p.destination = everything(family);
  p.port = port;
  p.priority = kBlockPriority;
  return p;
}

Policy peer_policy(Direction direction, const Address& self, const Address& peer, uint16_t port, uint32_t spi) {
  const bool out = direction == Direction::kOut;
  Policy p;
  p.direction = direction;
  p.source = host(out ? self : peer);
  p.destination = host(out ? peer : self);
  p.port = port;
  p.priority = kPeerPriority;
  p.esp = kernel::Template{p.source.address, p.destination.address, kernel::kRequestId, spi};
  return p;
}

std::vector<Policy> plan_policies(const IpsecFacts& facts) {
  std::vector<Policy> plan;
  for (uint16_t port : facts.ports)
    for (Direction direction : kDirections)
      for (int family : {AF_INET, AF_INET6}) plan.push_back(block_policy(direction, family, port));
  for (uint16_t port : facts.ports)
    for (const auto& peer : facts.peers) plan.push_back(peer_policy(Direction::kIn, facts.self, peer, port));
  return plan;
}

PolicyDifference compare_policies(const IpsecFacts& facts, const std::vector<uint16_t>& former,
                                  const std::vector<Policy>& there) {
  PolicyDifference out;
  auto key = [](const Policy& p) { return std::make_tuple(p.direction, p.port, p.source, p.destination); };
  std::map<decltype(key(there[0])), const Policy*> present;
  for (const auto& p : there) present[key(p)] = &p;
  std::set<decltype(key(there[0]))> wanted;
  for (const auto& p : plan_policies(facts)) {
    wanted.insert(key(p));
    auto found = present.find(key(p));
    if (found == present.end() || !(*found->second == p)) out.missing.push_back(p);
  }
  for (const auto& p : there) {
    if (wanted.count(key(p))) continue;
    const bool ours = p.esp && p.esp->request_id == kernel::kRequestId;
    const bool dead_port = !has(facts.ports, p.port) && has(former, p.port);
    if ((blocks_everything(p) && dead_port) || (ours && (dead_port || p.direction == Direction::kIn)))
      out.stale.push_back(p);
  }
  // The doors first, the walls after them.
  std::stable_partition(out.stale.begin(), out.stale.end(), [](const Policy& p) { return p.esp.has_value(); });
  return out;
}

}  // namespace fairlead::overlay
