#include "ctl/pools.h"

#include <nlohmann/json.hpp>

#include "ctl/table.h"
#include "ipam/blocks.h"

namespace fairlead::ctl {
namespace {

constexpr int64_t kReadable = int64_t{1} << 40;

std::vector<NodeBlocks> read_blocks(Context& context, const std::string& network) {
  auto all = ipam::all_blocks(context.paths, network, &context.warnings);
  if (all) return std::move(*all);
  context.warnings.push_back(all.error().message);
  return {};
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

std::vector<std::string> block_texts(Context& context, const std::string& network) {
  std::vector<std::string> lines;
  for (const auto& node : read_blocks(context, network)) lines.push_back(node.node + ": " + join(texts(node.blocks)));
  return lines;
}

Json block_json(Context& context, const std::string& network) {
  Json json = Json::object();
  for (const auto& node : read_blocks(context, network)) json[node.node] = texts(node.blocks);
  return json;
}

}  // namespace fairlead::ctl
