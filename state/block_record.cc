#include "state/block_record.h"

#include <sys/socket.h>

#include <algorithm>

#include "base/names.h"
#include "state/codec.h"

namespace fairlead {
namespace {

constexpr size_t kMaxBlocks = 1024;

constexpr unsigned kSmallest = 2, kLargest4 = 6, kLargest6 = 16, kShare = 4;  // bits of the host part

void read_blocks(ObjectReader& r, const std::string& key, std::vector<Prefix>& blocks) {
  std::vector<std::string> texts;
  r.optional(key, texts, kMaxBlocks);
  for (size_t i = 0; i < texts.size(); i++) {
    const std::string place = key + "/" + std::to_string(i);
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

const char* size_key(int family) { return family == AF_INET ? "blockSize" : "blockSize6"; }

// 0: the network does not say.
Result<uint32_t> length_of(const Network& network, int family) {
  if (network.extra.empty()) return 0u;
  FL_TRY(Json json, parse_json(network.extra, "network " + network.name));
  ObjectReader r(json, "network " + network.name);
  uint32_t length = 0;
  r.optional(size_key(family), length, 0, 128);
  FL_CHECK(r.finish());
  return length;
}

}  // namespace

const std::string& NodeBlocks::wants(int family) const { return family == AF_INET ? wants4 : wants6; }
std::string& NodeBlocks::wants(int family) { return family == AF_INET ? wants4 : wants6; }

unsigned block_length(const Network& network, const Prefix& subnet) {
  const unsigned host = subnet.host_bits(), most = subnet.family() == AF_INET ? kLargest4 : kLargest6;
  auto length = length_of(network, subnet.family());
  if (length && *length >= subnet.length && *length <= subnet.address.bits()) return *length;
  return subnet.address.bits() - std::min(host, std::clamp(host - std::min(host, kShare), kSmallest, most));
}

Result<void> set_block_lengths(Network& network, uint32_t length4, uint32_t length6) {
  if (length4 == 0 && length6 == 0) return {};
  Json json = Json::object();
  if (!network.extra.empty()) {
    FL_TRY(json, parse_json(network.extra, "network " + network.name));
  }
  if (length4) json[size_key(AF_INET)] = length4;
  if (length6) json[size_key(AF_INET6)] = length6;
  network.extra = dump_json(json);
  return check_block_lengths(network);
}

Result<void> check_block_lengths(const Network& network) {
  for (int family : {AF_INET, AF_INET6}) {
    FL_TRY(uint32_t length, length_of(network, family));
    const Prefix* subnet = network.subnet(family);
    if (length == 0 || !subnet) continue;
    if (length < subnet->length || length > subnet->address.bits())
      return fail("network " + network.name + ": blocks of /" + std::to_string(length) + " do not fit into " +
                  subnet->to_string() + "; choose /" + std::to_string(subnet->length) + " to /" +
                  std::to_string(subnet->address.bits()));
  }
  return {};
}

Result<NodeBlocks> decode_node_blocks(const Json& json, const std::string& source) {
  ObjectReader r(json, source);
  NodeBlocks b;
  codec::read_version(r);
  codec::read_name(r, "network", b.network);
  codec::read_name(r, "node", b.node);
  read_blocks(r, "blocks", b.blocks);
  r.optional("number", b.number, 0, UINT32_MAX);
  r.optional("wants4", b.wants4);
  r.optional("wants6", b.wants6);
  for (int family : {AF_INET, AF_INET6}) {
    const char* key = family == AF_INET ? "wants4" : "wants6";
    if (!b.wants(family).empty()) codec::one_of(r, key, b.wants(family), {"soon", "now"});
  }
  read_blocks(r, "giving", b.giving);
  std::vector<std::pair<std::string, std::string>> disputed;
  r.optional("disputed", disputed, kMaxBlocks);
  for (const auto& [text, node] : disputed) {
    auto prefix = Prefix::parse(text);
    if (prefix && is_object_name(node))
      b.disputed[*prefix] = node;
    else
      r.problem("disputed", text + " is no prefix, or " + node + " no node");
  }
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
  if (b.number) json["number"] = b.number;
  for (int family : {AF_INET, AF_INET6})
    if (!b.wants(family).empty()) json[family == AF_INET ? "wants4" : "wants6"] = b.wants(family);
  for (const auto& block : b.giving) json["giving"].push_back(block.to_string());
  for (const auto& [prefix, node] : b.disputed) json["disputed"][prefix.to_string()] = node;
  return codec::text(json);
}

}  // namespace fairlead
