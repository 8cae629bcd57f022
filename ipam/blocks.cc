#include "ipam/blocks.h"

#include <sys/stat.h>
#include <time.h>

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

// Whether a document is of the cluster, not one the node had before or has from another.
bool is_marked(const std::string& extra, const ClusterPlace& place) {
  if (extra.empty()) return false;
  auto json = parse_json(extra, "document");
  return json && json->is_object() && json->value("cluster", Json()) == place.cluster;
}

// Whether the cluster this node is in divides the network: it does when it knows it, or will as soon as it is founded.
Result<bool> is_divided(const Paths& paths, const ClusterPlace& place, const std::string& name, const Network* known) {
  std::optional<Network> loaded;
  if (!known) {
    FL_TRY(loaded, load_network(paths, name));
    if (!loaded) return false;
    known = &*loaded;
  }
  if (place.founding) return true;
  return is_marked(known->extra, place);
}

void add_state(const std::string& path, std::string& text) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) return text += "-;", void();
  text += std::to_string(st.st_ino) + ":" + std::to_string(st.st_size) + ":" + std::to_string(st.st_mtim.tv_sec) + "." +
          std::to_string(st.st_mtim.tv_nsec) + ";";
}

}  // namespace

Result<std::optional<OwnBlocks>> own_blocks(const Paths& paths, std::string_view network, const Network* known) {
  if (!is_object_name(network)) return std::nullopt;
  const std::string name(network);
  FL_TRY(auto place, cluster_place(paths));
  OwnBlocks own;
  if (place) {
    FL_TRY(own.claimed, is_divided(paths, *place, name, known));
  }
  struct stat st {};
  const bool none = ::stat(paths.blocks(network).c_str(), &st) != 0;
  if (none && !own.claimed) return std::nullopt;
  if (place) {
    own.node = place->name;
  } else {
    FL_TRY(own.node, node_name(paths));
  }
  FL_TRY(auto document, load(paths, name, own.node));
  if (document && own.claimed && !is_marked(document->extra, *place)) document.reset();
  if (document) {
    own.blocks = std::move(document->blocks);
    return std::optional<OwnBlocks>(std::move(own));
  }
  FL_TRY(auto nodes, list_documents(paths.blocks(network)));
  if (nodes.empty() && !own.claimed) return std::nullopt;
  return std::optional<OwnBlocks>(std::move(own));
}

std::string blocks_state(const Paths& paths, std::string_view network) {
  std::string text;
  if (!is_object_name(network)) return text;
  const std::string cluster = paths.state + "/cluster.json";
  add_state(cluster, text);
  add_state(paths.blocks(network), text);
  if (text == "-;-;") return text;
  add_state(paths.network(network), text);
  if (auto node = node_name(paths)) add_state(paths.blocks(network, *node), text);
  return text;
}

std::string wanted_path(const Paths& paths, std::string_view network) {
  return paths.run + "/blocks/" + std::string(network) + ".wanted";
}
std::string trouble_path(const Paths& paths, std::string_view network) {
  return paths.run + "/blocks/" + std::string(network) + ".trouble";
}

std::string trouble_of(const Paths& paths, std::string_view network) {
  auto text = read_file(trouble_path(paths, network));
  return text && *text ? std::move(**text) : "";
}

void want_block(const Paths& paths, std::string_view network) {
  if (!is_object_name(network) || !make_folders(paths.run + "/blocks")) return;
  (void)replace_file(wanted_path(paths, network), "", Durability::kBoot);
}

void want_no_block(const Paths& paths, std::string_view network) { (void)remove_file(wanted_path(paths, network)); }

bool wait_for_blocks(const Paths& paths, std::string_view network, const std::string& before, int ms) {
  constexpr int kNapMs = 20;
  for (; ms > 0; ms -= kNapMs) {
    if (blocks_state(paths, network) != before) return true;
    const timespec nap{0, kNapMs * 1'000'000L};
    ::nanosleep(&nap, nullptr);
  }
  return blocks_state(paths, network) != before;
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
