#include "ctl/pools.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "ctl/documents.h"
#include "ctl/table.h"
#include "ipam/blocks.h"
#include "ipam/ipam.h"

namespace fairlead::ctl {
namespace {

constexpr int64_t kReadable = int64_t{1} << 40;

std::vector<NodeBlocks> read_blocks(Context& context, const std::string& network) {
  auto all = ipam::all_blocks(context.paths, network, &context.warnings);
  if (all) return std::move(*all);
  context.warnings.push_back(all.error().message);
  return {};
}

std::vector<Endpoint> endpoints_of(Context& context, const std::string& network) {
  auto endpoints = read_all_endpoints(context, network);
  if (endpoints) return std::move(*endpoints);
  context.warnings.push_back(endpoints.error().message);
  return {};
}

ipam::PoolUse use_of(const Network& network, const NodeBlocks& node, const std::vector<Endpoint>& endpoints) {
  ipam::PoolUse use;
  auto sets = ipam::range_sets(network);
  ipam::restrict_to(sets, node.blocks);
  for (const auto& set : sets) use.size = std::min(int64_t{1} << 62, use.size + set.capacity());
  for (const auto& endpoint : endpoints)
    for (const auto& address : endpoint.addresses)
      use.leased +=
          std::any_of(node.blocks.begin(), node.blocks.end(), [&](const Prefix& b) { return b.contains(address); });
  return use;
}

}  // namespace

std::vector<ipam::PoolUse> read_pools(Context& context, const Network& network) {
  auto pools = ipam::pool_use(context.paths, network);
  if (pools) return std::move(*pools);
  context.warnings.push_back(pools.error().message);
  return {};
}

std::string fraction(const ipam::PoolUse& pool) {
  int bits = 0;
  for (int64_t size = pool.size; size > kReadable && size > 1; size >>= 1) bits++;
  std::string size = std::to_string(pool.size);
  if (bits) size = "2^" + std::to_string(bits + 40);
  return std::to_string(pool.used()) + "/" + size;
}

std::string sentence(const ipam::PoolUse& pool) {
  std::string text = pool.subnet.to_string() + " " + fraction(pool);
  std::vector<std::string> notes;
  if (pool.reserved) notes.push_back(std::to_string(pool.reserved) + " only reserved");
  if (pool.blocks) notes.push_back("this node's blocks");
  if (pool.nearly_full()) notes.push_back(pool.full() ? "full" : std::to_string(pool.percent()) + " %");
  return notes.empty() ? text : text + " (" + join(notes, ", ") + ")";
}

Json json_of(const ipam::PoolUse& pool) {
  return Json{
      {"subnet", pool.subnet.to_string()}, {"size", pool.size},         {"used", pool.used()},  {"leased", pool.leased},
      {"reserved", pool.reserved},         {"percent", pool.percent()}, {"blocks", pool.blocks}};
}

std::vector<std::string> capacity_warnings(const std::string& network, const std::vector<ipam::PoolUse>& pools) {
  std::vector<std::string> warnings;
  for (const auto& pool : pools)
    if (pool.nearly_full()) warnings.push_back(ipam::capacity_warning(network, pool));
  return warnings;
}

std::vector<std::string> block_texts(Context& context, const Network& network) {
  std::vector<std::string> lines;
  const auto endpoints = endpoints_of(context, network.name);
  for (const auto& node : read_blocks(context, network.name))
    lines.push_back(node.node + ": " + join(texts(node.blocks)) + " (" + fraction(use_of(network, node, endpoints)) +
                    ")");
  return lines;
}

Json block_use_json(Context& context, const Network& network) {
  Json json = Json::object();
  const auto endpoints = endpoints_of(context, network.name);
  for (const auto& node : read_blocks(context, network.name)) {
    const auto use = use_of(network, node, endpoints);
    json[node.node] = {{"used", use.leased}, {"size", use.size}};
  }
  return json;
}

Json block_json(Context& context, const std::string& network) {
  Json json = Json::object();
  for (const auto& node : read_blocks(context, network)) json[node.node] = texts(node.blocks);
  return json;
}

}  // namespace fairlead::ctl
