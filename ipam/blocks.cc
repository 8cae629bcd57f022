#include "ipam/blocks.h"

#include <sys/stat.h>

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/names.h"
#include "state/node_name.h"
#include "state/store.h"

namespace fairlead::ipam {
namespace {

Result<std::optional<NodeBlocks>> load(const Paths& paths, const std::string& network, const std::string& node) {
  const std::string path = paths.blocks(network, node);
  FL_TRY(auto text, read_file(path));
  if (!text) return std::nullopt;
  FL_TRY(Json json, parse_json(*text, path));
  FL_TRY(auto blocks, decode_node_blocks(json, path));
  if (blocks.network != network || blocks.node != node)
    return fail(path + ": the names inside do not match the path; rename the file or correct the names");
  return std::optional<NodeBlocks>(std::move(blocks));
}

}  // namespace

Result<std::optional<OwnBlocks>> own_blocks(const Paths& paths, std::string_view network) {
  struct stat st {};
  if (!is_object_name(network) || ::stat(paths.blocks(network).c_str(), &st) != 0) return std::nullopt;
  OwnBlocks own;
  FL_TRY(own.node, node_name(paths));
  FL_TRY(auto document, load(paths, std::string(network), own.node));
  if (document) {
    own.blocks = std::move(document->blocks);
    return std::optional<OwnBlocks>(std::move(own));
  }
  FL_TRY(auto nodes, list_documents(paths.blocks(network)));
  if (nodes.empty()) return std::nullopt;
  return std::optional<OwnBlocks>(std::move(own));
}

Result<std::vector<NodeBlocks>> all_blocks(const Paths& paths, std::string_view network,
                                           std::vector<std::string>* problems) {
  std::vector<NodeBlocks> all;
  if (!is_object_name(network)) return all;
  FL_TRY(auto nodes, list_documents(paths.blocks(network)));
  for (const auto& node : nodes) {
    auto blocks = load(paths, std::string(network), node);
    if (!blocks && problems) problems->push_back(blocks.error().message);
    if (blocks && *blocks) all.push_back(std::move(**blocks));
  }
  return all;
}

std::optional<BlockOfNode> block_of(const Paths& paths, std::string_view network, const Address& address) {
  auto all = all_blocks(paths, network, nullptr);
  if (!all) return std::nullopt;
  for (const auto& node : *all)
    for (const auto& block : node.blocks)
      if (block.contains(address)) return BlockOfNode{node.node, block};
  return std::nullopt;
}

void restrict_to(std::vector<RangeSet>& sets, const std::vector<Prefix>& blocks) {
  for (auto& set : sets) {
    std::vector<Range> parts;
    for (const auto& block : blocks)
      for (const auto& range : set.ranges) {
        if (block.family() != range.subnet.family()) continue;
        Range part = range;
        part.first = std::max(range.first, block.first());
        part.last = std::min(range.last, block.last());
        if (part.first <= part.last) parts.push_back(part);
      }
    set.ranges = std::move(parts);
    set.one_by_one = true;
  }
}

}  // namespace fairlead::ipam
