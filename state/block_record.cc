#include "state/block_record.h"

#include "state/codec.h"

namespace fairlead {
namespace {

constexpr size_t kMaxBlocks = 1024;

void read_blocks(ObjectReader& r, std::vector<Prefix>& blocks) {
  std::vector<std::string> texts;
  r.optional("blocks", texts, kMaxBlocks);
  for (size_t i = 0; i < texts.size(); i++) {
    const std::string place = "blocks/" + std::to_string(i);
    auto prefix = Prefix::parse(texts[i]);
    if (!prefix) return r.problem(place, prefix.error().message);
    if (prefix->has_host_bits())
      return r.problem(place,
                       texts[i] + " has host bits; write " + Prefix{prefix->first(), prefix->length}.to_string());
    for (const auto& other : blocks)
      if (other.overlaps(*prefix)) return r.problem(place, texts[i] + " overlaps " + other.to_string());
    blocks.push_back(*prefix);
  }
}

}  // namespace

Result<NodeBlocks> decode_node_blocks(const Json& json, const std::string& source) {
  ObjectReader r(json, source);
  NodeBlocks b;
  codec::read_version(r);
  codec::read_name(r, "network", b.network);
  codec::read_name(r, "node", b.node);
  read_blocks(r, b.blocks);
  b.extra = r.extra();
  FL_CHECK(r.finish());
  return b;
}

std::string encode(const NodeBlocks& b) {
  Json json = codec::start(b.extra);
  json["network"] = b.network;
  json["node"] = b.node;
  json["blocks"] = Json::array();
  for (const auto& block : b.blocks) json["blocks"].push_back(block.to_string());
  return codec::text(json);
}

}  // namespace fairlead
