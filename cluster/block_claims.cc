#include "cluster/block_claims.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/names.h"
#include "cluster/block_plan.h"
#include "cluster/channel.h"
#include "cluster/document_check.h"
#include "cluster/member_documents.h"
#include "cluster/registry.h"
#include "cluster/roles.h"
#include "state/node_record.h"

namespace fairlead::cluster {
namespace {

constexpr int kAttempts = 50;
constexpr size_t kMaxPrefixes = 4096;

Result<NodeBlocks> decode(const std::string& key, const std::string& value) {
  FL_TRY(Json json, parse_json(value, key));
  return decode_node_blocks(json, key);
}

Result<std::vector<Prefix>> prefixes_at(const Json& request, const char* key) {
  std::vector<Prefix> prefixes;
  auto list = request.find(key);
  if (list == request.end()) return prefixes;
  if (!list->is_array() || list->size() > kMaxPrefixes)
    return fail("claim: bad list \"" + std::string(key) + "\"", EINVAL);
  for (const auto& item : *list) {
    auto prefix = Prefix::parse(item.is_string() ? item.get<std::string>() : "");
    if (!prefix || prefix->has_host_bits()) return fail("claim: bad prefix in \"" + std::string(key) + "\"", EINVAL);
    prefixes.push_back(*prefix);
  }
  return prefixes;
}

// key: of a node's blocks.
std::string who_mends(const std::string& key) {
  const std::string node = key.substr(key.rfind('/') + 1);
  return "node " + node + " has told its own again, which its agent does by itself";
}

bool lists(const Json& request, const char* key, int family) {
  auto list = request.find(key);
  if (list == request.end() || !list->is_array()) return false;
  return std::any_of(list->begin(), list->end(), [&](const Json& item) { return item == (family == AF_INET ? 4 : 6); });
}

std::string departed_key(const NodeBlocks& blocks) {
  return "departed/" + blocks.network + "/" + blocks.node + "-" + std::to_string(blocks.number);
}

bool is_member_of(const std::optional<std::string>& document, const NodeBlocks& blocks) {
  auto member = document ? decode_member(*document) : fail("none");
  return member && (blocks.number == 0 || member->number == blocks.number);
}

}  // namespace

// A network's addresses as the store has them, at one revision.
struct BlockClaims::Space {
  Network network;
  NodeBlocks own;
  std::string own_before;                      // as it is stored; empty: not at all
  std::map<std::string, NodeBlocks> others;    // by name
  std::map<std::string, NodeBlocks> departed;  // by key
  std::vector<EtcdCompare> unchanged;
  std::vector<EtcdChange> changes;

  std::vector<Prefix> taken() const {
    std::vector<Prefix> all = own.blocks;
    for (const auto* group : {&others, &departed})
      for (const auto& [name, blocks] : *group) all.insert(all.end(), blocks.blocks.begin(), blocks.blocks.end());
    return all;
  }
  void take_held(const Prefix& prefix, Json& answer);
  void dispute(const Prefix& part);
  void settle_disputes(std::map<std::string, NodeBlocks> before);
  void take_back_departed(const Identity& who, const Prefix& prefix);
};

// What the node had before it left and still uses becomes its own again.
void BlockClaims::Space::take_back_departed(const Identity& who, const Prefix& prefix) {
  for (auto& [key, blocks] : departed) {
    if (blocks.node != who.name) continue;
    std::vector<Prefix> back;
    for (const auto& block : blocks.blocks)
      if (block.overlaps(prefix)) back.push_back(block);
    if (back.empty()) continue;
    for (const auto& block : back) std::erase(blocks.blocks, block);
    own.blocks.insert(own.blocks.end(), back.begin(), back.end());
    EtcdChange change{store_key(key), std::nullopt};
    if (!blocks.blocks.empty()) change.value = encode(blocks);
    std::erase_if(changes, [&](const EtcdChange& c) { return c.key == change.key; });
    changes.push_back(std::move(change));
  }
}

// Both use it: its owner in the store gives no address of it, either.
void BlockClaims::Space::dispute(const Prefix& part) {
  for (auto& [name, blocks] : others)
    for (const auto& block : blocks.blocks)
      if (block.overlaps(part)) blocks.disputed[block.length > part.length ? block : part] = own.node;
}

// Writes down whose disputes with this node are others than before.
void BlockClaims::Space::settle_disputes(std::map<std::string, NodeBlocks> before) {
  for (const auto& [name, blocks] : others)
    if (blocks.disputed != before[name].disputed)
      changes.push_back({store_key("blocks/" + network.name + "/" + name), encode(blocks)});
}

void BlockClaims::Space::take_held(const Prefix& prefix, Json& answer) {
  const Prefix* subnet = network.subnet(prefix.family());
  if (!subnet || !subnet->contains(prefix) || covers(own.blocks, prefix)) return;
  const auto all = taken();
  for (const auto* group : {&others, &departed})
    for (const auto& [name, blocks] : *group)
      for (const auto& block : blocks.blocks)
        if (block.overlaps(prefix)) {
          answer["refused"].push_back({{"block", prefix.to_string()}, {"node", blocks.node}});
          return dispute(prefix);
        }
  // A whole block the node already divides its addresses by, or the block around an address.
  if (prefix.host_bits() > 0) {
    std::vector<Prefix> left{prefix};
    for (const auto& block : all)
      if (block.overlaps(prefix)) left = without(left, block);
    own.blocks.insert(own.blocks.end(), left.begin(), left.end());
  } else if (auto block = block_around(network, prefix.address, all)) {
    own.blocks.push_back(*block);
  }
}

Result<BlockClaims::Space> BlockClaims::read(const Identity& who, const std::string& name) const {
  Space space;
  const std::string blocks = store_key("blocks/" + name + "/"), departed = store_key("departed/" + name + "/");
  FL_TRY(auto stored, etcd_.range({blocks, prefix_end(blocks)}));
  FL_TRY(auto former, etcd_.range({departed, prefix_end(departed)}));
  FL_TRY(auto network, etcd_.get(store_key("networks/" + name)));
  FL_TRY(auto member, etcd_.get(store_key("members/" + who.name)));
  if (!network) return fail("there is no network " + name + " in the cluster", ENOENT);
  if (!member) return fail(who.name + " is no longer a member of the cluster", EKEYREVOKED);
  FL_TRY(Json json, parse_json(network->value, network->key));
  FL_TRY(space.network, decode_network(json, network->key));
  space.own.network = name;
  space.own.node = who.name;
  space.own.number = who.number;
  for (const auto& document : stored.documents) {
    auto decoded = decode(document.key, document.value);
    // A broken document stops the others: what it holds is not known. Its own node knows, and writes a good one.
    if (!decoded && document.key == blocks + who.name) {
      space.own_before = document.value;
      continue;
    }
    if (!decoded) return fail(decoded.error().with("no block can be given before " + who_mends(document.key)));
    NodeBlocks one = std::move(*decoded);
    if (one.node != who.name) {
      space.others.emplace(one.node, std::move(one));
    } else if (one.number == 0 || one.number == who.number) {
      space.own_before = document.value;
      one.number = who.number;
      space.own = std::move(one);
    } else {
      const std::string key = departed_key(one);  // of a former member of this name
      space.own_before = document.value;
      space.changes.push_back({store_key(key), encode(one)});
      space.departed.emplace(key, std::move(one));
    }
  }
  for (const auto& document : former.documents) {
    FL_TRY(NodeBlocks one, decode(document.key, document.value));
    space.departed.emplace(departed_key(one), std::move(one));
  }
  space.unchanged = {{EtcdCompare::kNoneModifiedAfter, blocks, prefix_end(blocks), stored.revision},
                     {EtcdCompare::kNoneModifiedAfter, departed, prefix_end(departed), stored.revision},
                     {EtcdCompare::kModifiedAt, network->key, "", network->modified},
                     {EtcdCompare::kModifiedAt, member->key, "", member->modified}};
  return space;
}

bool BlockClaims::somebody_waits(const Space& space, int family) const {
  return std::any_of(space.others.begin(), space.others.end(), [&](const auto& other) {
    return other.second.wants(family) == "now" && feed_.get("live/" + other.first);
  });
}

// false: something changed meanwhile.
Result<bool> BlockClaims::claim_once(const Identity& who, const Json& request, Json& answer) {
  FL_TRY(Space space, read(who, text_at(request, "network")));
  FL_TRY(auto held, prefixes_at(request, "held"));
  FL_TRY(auto given, prefixes_at(request, "give"));
  FL_TRY(auto call, calls_.waiting(space.unchanged));
  answer = {{"revision", 0}, {"granted", Json::array()}, {"refused", Json::array()}};
  if (call) answer.update({{"waiting", call->waiting}, {"restored", call->restored}});
  auto before = space.others;
  // Whoever tells what it holds tells everything the store does not know: what it no longer names is settled.
  if (request.contains("held"))
    for (auto& [name, blocks] : space.others)
      std::erase_if(blocks.disputed, [&](const auto& one) { return one.second == who.name; });
  for (const auto& prefix : held) {
    space.take_back_departed(who, prefix);
    space.take_held(prefix, answer);
  }
  for (const auto& prefix : given) space.own.blocks = without(space.own.blocks, prefix);
  for (const auto& subnet : space.network.subnets) {
    const int family = subnet.family();
    std::string& wants = space.own.wants(family);
    wants.clear();
    if (!lists(request, "need", family)) continue;
    auto block = !call ? choose_block(space.network, subnet, space.taken()) : std::nullopt;
    // What somebody gave back for a container that waits is that one's.
    const bool tight = block && block->length > block_length(space.network, subnet);
    if (tight && !lists(request, "urgent", family) && somebody_waits(space, family)) block.reset();
    if (block) {
      space.own.blocks.push_back(*block);
      answer["granted"].push_back(block->to_string());
    } else {
      wants = lists(request, "urgent", family) ? "now" : "soon";
    }
  }
  space.settle_disputes(std::move(before));
  std::erase_if(space.own.disputed, [&](const auto& one) { return !covers(space.own.blocks, one.first); });
  space.own.blocks = joined(space.network, std::move(space.own.blocks));
  const std::string document = encode(space.own);
  if (document == space.own_before && space.changes.empty()) return true;
  if (space.changes.empty() && space.own_before.empty() && space.own.blocks.empty() && space.own.wants4.empty() &&
      space.own.wants6.empty())
    return true;
  space.changes.push_back({store_key("blocks/" + space.own.network + "/" + who.name), document});
  FL_TRY(auto applied, etcd_.apply(space.unchanged, space.changes));
  answer["revision"] = applied.revision;
  return applied.done;
}

Result<Json> BlockClaims::claim(const Identity& who, const Json& request) {
  FL_CHECK(check_object_name("network name", text_at(request, "network")));
  std::lock_guard lock(claims_);
  Json answer;
  for (int i = 0; i < kAttempts; i++) {
    FL_TRY(bool done, claim_once(who, request, answer));
    if (done) return answer;
  }
  return fail("blocks of network " + text_at(request, "network") + " are being claimed by many; try again", EAGAIN);
}

// With members that are none any more.
Result<void> BlockClaims::end_disputes(const std::string& key) const {
  FL_TRY(auto document, etcd_.get(store_key(key)));
  if (!document) return {};
  FL_TRY(NodeBlocks blocks, decode(key, document->value));
  std::erase_if(blocks.disputed, [&](const auto& one) { return !feed_.get("members/" + one.second); });
  FL_CHECK(etcd_.apply({{EtcdCompare::kModifiedAt, document->key, "", document->modified}},
                       {{document->key, encode(blocks)}}));
  return {};
}

// Everything of a node goes to departed/, unless it is (again) the member it was.
Result<void> BlockClaims::set_apart(const std::string& key, const NodeBlocks& blocks) const {
  FL_TRY(auto document, etcd_.get(store_key(key)));
  FL_TRY(auto member, etcd_.get(store_key("members/" + blocks.node)));
  if (!document || is_member_of(member ? std::optional(member->value) : std::nullopt, blocks)) return {};
  FL_TRY(NodeBlocks now, decode(key, document->value));
  if (now.number != blocks.number) return {};
  now.wants4.clear();
  now.wants6.clear();
  EtcdCompare same_member{member ? EtcdCompare::kModifiedAt : EtcdCompare::kAbsent, store_key("members/" + blocks.node),
                          "", member ? member->modified : 0};
  std::vector<EtcdChange> changes{{store_key(key), std::nullopt}};
  if (!now.blocks.empty()) changes.push_back({store_key(departed_key(now)), encode(now)});
  FL_CHECK(etcd_.apply({{EtcdCompare::kModifiedAt, document->key, "", document->modified}, same_member}, changes));
  return {};
}

Result<void> BlockClaims::set_free(const std::string& key, const NodeBlocks& blocks) const {
  FL_TRY(auto document, etcd_.get(store_key(key)));
  FL_TRY(auto member, etcd_.get(store_key("members/" + blocks.node)));
  if (!document || is_member_of(member ? std::optional(member->value) : std::nullopt, blocks)) return {};
  std::vector<EtcdCompare> unchanged{{EtcdCompare::kModifiedAt, document->key, "", document->modified},
                                     {member ? EtcdCompare::kModifiedAt : EtcdCompare::kAbsent,
                                      store_key("members/" + blocks.node), "", member ? member->modified : 0}};
  // Somebody else may have the name now; then the lease of that name is his.
  if (!member) unchanged.push_back({EtcdCompare::kAbsent, store_key("live/" + blocks.node)});
  FL_TRY(auto applied, etcd_.apply(unchanged, {{store_key(key), std::nullopt}}));
  if (applied.done)
    log_info("network " + blocks.network + ": the addresses of the former member " + blocks.node + " are free again");
  return {};
}

bool BlockClaims::may_be_used(const NodeBlocks& blocks, const Feed::Documents& documents) const {
  if (is_member_of(feed_.get("members/" + blocks.node), blocks)) return true;
  if (auto live = feed_.get("live/" + blocks.node)) {
    auto json = parse_json(*live, "live");
    if (!json || !json->is_object() || number_at(*json, "number") == blocks.number) return true;
  }
  const std::string prefix = "endpoints/" + blocks.network + "/";
  for (auto i = documents.lower_bound(prefix); i != documents.end() && i->first.starts_with(prefix); ++i) {
    auto json = parse_json(i->second, i->first);
    auto endpoint = json ? decode_endpoint(*json, i->first) : fail(json.error());
    if (!endpoint) continue;
    for (const auto& address : endpoint->addresses)
      if (covers(blocks.blocks, Prefix{address, address.bits()})) return true;
  }
  return false;
}

Result<void> BlockClaims::tend(int64_t now_ms, int64_t grace_ms) {
  std::lock_guard lock(tending_);
  if (!calls_.is_open() || feed_.get(kRollCall)) return {};  // the store may not know who has what
  auto wanted = [](const std::string& key) { return key.starts_with("blocks/") || key.starts_with("departed/"); };
  const auto all = feed_.snapshot(wanted).documents;
  for (auto i = all.lower_bound("blocks/"); i != all.end() && i->first.starts_with("blocks/"); ++i) {
    auto blocks = decode(i->first, i->second);
    if (!blocks) continue;
    if (!is_member_of(feed_.get("members/" + blocks->node), *blocks)) FL_CHECK(set_apart(i->first, *blocks));
    if (std::any_of(blocks->disputed.begin(), blocks->disputed.end(),
                    [&](const auto& one) { return !feed_.get("members/" + one.second); }))
      FL_CHECK(end_disputes(i->first));
  }
  std::erase_if(quiet_since_, [&](const auto& entry) { return !all.count(entry.first); });
  Feed::Documents endpoints;
  if (all.lower_bound("departed/") != all.end())
    endpoints = feed_.snapshot([](const std::string& key) { return key.starts_with("endpoints/"); }).documents;
  for (auto i = all.lower_bound("departed/"); i != all.end(); ++i) {
    auto blocks = decode(i->first, i->second);
    if (!blocks) continue;
    const int64_t since = quiet_since_.emplace(i->first, now_ms).first->second;
    if (may_be_used(*blocks, endpoints))
      quiet_since_[i->first] = now_ms;
    else if (now_ms - since >= grace_ms)
      FL_CHECK(set_free(i->first, *blocks));
  }
  return {};
}

}  // namespace fairlead::cluster
