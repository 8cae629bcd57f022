#include "overlay/mesh.h"

#include <sys/socket.h>

#include <algorithm>
#include <map>

#include "overlay/wireguard_plan.h"

namespace fairlead::overlay {
namespace {

constexpr uint32_t kNodes4 = 0xa9fe8000;  // 169.254.128.0

Address nodes6() {
  const uint8_t bytes[16]{0xfd, 0x57, 0x01, 0x28};
  return Address::from_bytes(AF_INET6, bytes);
}

bool inside(const Network& network, const Prefix& block) {
  const Prefix* subnet = network.subnet(block.family());
  return subnet && subnet->contains(block);
}

}  // namespace

Mac node_mac(uint32_t number) {
  return Mac{{0x02, 0x57, 0, 0, static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)}};
}

Address node_address(int family, uint32_t number) {
  return family == AF_INET ? Address::v4(kNodes4 + number) : nodes6().plus(number);
}

Address tunnel_address(const Network& network, uint32_t number, const Address& underlay) {
  return network.encryption == "wireguard" ? wireguard_address(number) : underlay;
}

std::optional<Mesh> make_mesh(const Network& network, const std::string& self, const std::vector<Node>& nodes,
                              const Blocks& blocks) {
  auto own = std::find_if(nodes.begin(), nodes.end(), [&](const Node& n) { return n.name == self; });
  if (own == nodes.end()) return std::nullopt;
  Mesh mesh{own->number, own->address, {}, false, {}};
  mesh.divided = std::any_of(blocks.begin(), blocks.end(), [&](const auto& b) { return inside(network, b.second); });
  std::map<std::string, Peer> peers;
  for (const auto& node : nodes) {
    if (node.name == self) continue;
    if (node.address.family() == own->address.family() && node.number != own->number)
      peers[node.name] = {node.name, node.number, node.address, {}};
    else
      mesh.unreachable.push_back(node.name);
  }
  for (const auto& [node, block] : blocks)
    if (auto peer = peers.find(node); peer != peers.end() && inside(network, block))
      peer->second.blocks.push_back(block);
  for (auto& [name, peer] : peers) {
    std::sort(peer.blocks.begin(), peer.blocks.end());
    mesh.peers.push_back(std::move(peer));
  }
  return mesh;
}

}  // namespace fairlead::overlay
