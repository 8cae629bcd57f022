#include "agent/cluster_documents.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "state/node_name.h"
#include "state/store.h"

namespace fairlead::agent {
namespace {

template <class Record>
Result<std::vector<Record>> read_all(const std::string& folder,
                                     Result<Record> (*decode)(const Json&, const std::string&)) {
  std::vector<Record> records;
  FL_TRY(auto names, list_documents(folder));
  for (const auto& name : names) {
    const std::string path = folder + "/" + name + ".json";
    auto text = read_file(path);
    if (!text || !*text) continue;
    auto json = parse_json(**text, path);
    if (!json) continue;
    if (auto record = decode(*json, path)) records.push_back(std::move(*record));
  }
  return records;
}

void add_blocks(overlay::Blocks& blocks, const NodeBlocks& document) {
  for (const auto& block : document.blocks) blocks.emplace_back(document.node, block);
}

}  // namespace

std::optional<overlay::Mesh> mesh_of(const StateView& view, const std::string& self, const Network& network) {
  if (!view.nodes().count(self)) return std::nullopt;
  std::vector<Node> nodes;
  for (const auto& [name, node] : view.nodes()) nodes.push_back(*node);
  overlay::Blocks blocks;
  const auto& all = view.blocks();
  for (auto i = all.lower_bound({network.name, ""}); i != all.end() && i->first.first == network.name; ++i)
    add_blocks(blocks, *i->second);
  return overlay::make_mesh(network, self, nodes, blocks);
}

Result<std::vector<Node>> read_nodes(const Paths& paths) { return read_all(paths.nodes(), decode_node); }

Result<std::optional<overlay::Mesh>> read_mesh(const Paths& paths, const Network& network) {
  FL_TRY(auto nodes, read_all(paths.nodes(), decode_node));
  if (nodes.empty()) return std::nullopt;
  FL_TRY(auto self, node_name(paths));
  FL_TRY(auto documents, read_all(paths.blocks(network.name), decode_node_blocks));
  overlay::Blocks blocks;
  for (const auto& document : documents) add_blocks(blocks, document);
  return overlay::make_mesh(network, self, nodes, blocks);
}

namespace {

struct NetworksAndNodes {
  std::vector<Network> networks;
  std::vector<Node> nodes;
};

NetworksAndNodes all_of(const StateView& view) {
  NetworksAndNodes all;
  for (const auto& [name, network] : view.networks()) all.networks.push_back(*network);
  for (const auto& [name, node] : view.nodes()) all.nodes.push_back(*node);
  return all;
}

template <class Facts>
Result<Facts> read_facts(const Paths& paths,
                         Facts (*facts)(const std::vector<Network>&, const std::vector<Node>&, const std::string&)) {
  FL_TRY(auto nodes, read_all(paths.nodes(), decode_node));
  if (nodes.empty()) return Facts{};
  FL_TRY(auto self, node_name(paths));
  FL_TRY(auto networks, read_all(paths.networks(), decode_network));
  return facts(networks, nodes, self);
}

}  // namespace

overlay::IpsecFacts ipsec_facts_of(const StateView& view, const std::string& self) {
  const auto all = all_of(view);
  return overlay::ipsec_facts(all.networks, all.nodes, self);
}

Result<overlay::IpsecFacts> read_ipsec_facts(const Paths& paths) { return read_facts(paths, overlay::ipsec_facts); }

overlay::EgressFacts egress_facts_of(const StateView& view, const std::string& self) {
  const auto all = all_of(view);
  return overlay::egress_facts(all.networks, all.nodes, self);
}

Result<overlay::EgressFacts> read_egress_facts(const Paths& paths) { return read_facts(paths, overlay::egress_facts); }

Result<std::string> read_port_conflict(const Paths& paths, const Network& network) {
  FL_TRY(auto networks, read_all(paths.networks(), decode_network));
  return port_conflict(network, networks);
}

Result<void> read_tunnel_facts(const Paths& paths, overlay::HostRuleFacts& facts) {
  FL_TRY(auto nodes, read_all(paths.nodes(), decode_node));
  if (nodes.empty()) return {};
  auto self = node_name(paths);  // a node that does not know its name has no overlay; the daemon says so
  if (!self || std::none_of(nodes.begin(), nodes.end(), [&](const Node& n) { return n.name == *self; })) return {};
  for (const auto& node : nodes) facts.nodes.push_back(node.address);
  FL_TRY(auto networks, read_all(paths.networks(), decode_network));
  for (const auto& network : networks) {
    facts.vnis.push_back(network.vni);
    if (network.vxlan_port) facts.ports.push_back(overlay::vxlan_port(network));
    if (network.encryption == "wireguard") facts.wireguard_ports.push_back(overlay::vxlan_port(network));
  }
  std::sort(facts.vnis.begin(), facts.vnis.end());
  std::sort(facts.nodes.begin(), facts.nodes.end());
  facts.nodes.erase(std::unique(facts.nodes.begin(), facts.nodes.end()), facts.nodes.end());
  return {};
}

}  // namespace fairlead::agent
