#include "cluster/epoch_keeper.h"

#include <cerrno>
#include <cstring>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "cluster/channel.h"
#include "cluster/document_check.h"
#include "cluster/encoding.h"
#include "cluster/epoch_seal.h"
#include "cluster/node_keys.h"
#include "cluster/registry.h"

namespace fairlead::cluster {
namespace {

constexpr int kAttempts = 5;
constexpr int64_t kStrangeMs = 60000, kLostMs = 15000;
constexpr const char* kList = "keys/epochs";

std::string copy_key(const std::string& node, const std::string& epoch) { return "keys/" + node + "/" + epoch; }

struct NodeFacts {
  SealingNode node;
  std::string public_key;  // empty: not announced
};

Result<NodeFacts> read_node(const std::string& key, const std::string& value) {
  FL_TRY(Json json, parse_json(value, key));
  if (!json.is_object()) return fail(key + ": it is no object");
  NodeFacts facts;
  facts.node.name = text_at(json, "name");
  facts.node.number = static_cast<uint32_t>(number_at(json, "number"));
  if (!json.contains("sealKey")) return facts;
  FL_TRY(facts.public_key, decode_public_key(text_at(json, "sealKey"), key + ": /sealKey"));
  facts.node.key = key_fingerprint(facts.public_key);
  return facts;
}

Result<std::vector<NodeFacts>> nodes_of(const Feed::Documents& documents) {
  std::vector<NodeFacts> nodes;
  for (auto it = documents.lower_bound("nodes/"); it != documents.end() && it->first.starts_with("nodes/"); ++it) {
    auto node = read_node(it->first, it->second);
    if (!node) return fail(node.error());
    nodes.push_back(std::move(*node));
  }
  return nodes;
}

SealedCopy sealed_copy(const std::string& epoch, std::string sealed, const SealingNode& node) {
  return {epoch, std::move(sealed), node.key, node.number};
}

}  // namespace

struct EpochKeeper::Seen {
  EpochFacts facts;
  std::vector<NodeFacts> nodes;
  std::map<std::string, LockedBytes> secrets;  // by epoch
};

Result<EpochKeeper::Seen> EpochKeeper::look() const {
  Seen seen;
  auto snapshot =
      feed_.snapshot([](const std::string& key) { return key.starts_with("keys/") || key.starts_with("nodes/"); });
  FL_TRY(seen.nodes, nodes_of(snapshot.documents));
  seen.facts.now = wall_seconds();
  for (const auto& node : seen.nodes) {
    seen.facts.members.insert(node.node.name);
    if (!node.public_key.empty()) seen.facts.nodes.push_back(node.node);
  }
  for (const auto& [key, value] : snapshot.documents) {
    auto parts = split_key(key);
    if (!parts || (*parts)[0] != "keys") continue;
    if (key == kList) {
      FL_TRY(seen.facts.list, decode_epoch_list(value, key));
    } else if (parts->size() == 3) {
      auto copy = decode_sealed_copy(value, key);
      seen.facts.copies[{(*parts)[1], (*parts)[2]}] = copy ? std::move(*copy) : SealedCopy{};
    }
  }
  FL_TRY(auto own, load_node_key(seal_key_path(paths_)));
  for (const auto& epoch : seen.facts.list.epochs) {
    auto copy = seen.facts.copies.find({self_.name, epoch.id});
    if (!own || copy == seen.facts.copies.end()) continue;
    auto opened = open_epoch(epoch.id, copy->second.sealed, *own);
    if (!opened) continue;
    seen.facts.can_open.insert(epoch.id);
    seen.secrets.emplace(epoch.id, std::move(*opened));
  }
  return seen;
}

Result<void> EpochKeeper::tend() {
  FL_TRY(Seen seen, look());
  const auto& epochs = seen.facts.list.epochs;
  const bool can = epochs.empty() || seen.facts.can_open.count(epochs.front().id);
  if (can) lost_since_ = 0;
  if (!can && !lost_since_) lost_since_ = now_ms();
  seen.facts.lost = !can && now_ms() - lost_since_ > kLostMs;
  const EpochPlan plan = plan_epochs(seen.facts);
  FL_CHECK(remove(left_over(plan)));
  if (!plan.make.empty()) {
    FL_CHECK(rotate(plan.make));
    return {};
  }
  FL_CHECK(seal_missing(seen, plan));
  return remove(plan.remove);
}

// Another manager may be making one of them just now.
std::vector<std::pair<std::string, std::string>> EpochKeeper::left_over(const EpochPlan& plan) {
  std::map<std::pair<std::string, std::string>, int64_t> still;
  std::vector<std::pair<std::string, std::string>> old;
  for (const auto& place : plan.strange) {
    auto known = strange_since_.find(place);
    const int64_t since = known == strange_since_.end() ? now_ms() : known->second;
    still[place] = since;
    if (now_ms() - since >= kStrangeMs) old.push_back(place);
  }
  strange_since_ = std::move(still);
  return old;
}

Result<void> EpochKeeper::seal_missing(const Seen& seen, const EpochPlan& plan) const {
  std::vector<EtcdChange> changes;
  for (const auto& [name, epoch] : plan.seal) {
    for (const auto& node : seen.nodes) {
      if (node.node.name != name) continue;
      FL_TRY(std::string sealed, seal_epoch(epoch, seen.secrets.at(epoch), node.public_key));
      changes.push_back({store_key(copy_key(name, epoch)), encode(sealed_copy(epoch, std::move(sealed), node.node))});
    }
    if (changes.size() < kMaxEtcdChanges) continue;
    FL_CHECK(etcd_.apply({}, changes));
    changes.clear();
  }
  if (!changes.empty()) FL_CHECK(etcd_.apply({}, changes));
  return {};
}

Result<void> EpochKeeper::remove(const std::vector<std::pair<std::string, std::string>>& places) const {
  std::vector<EtcdChange> changes;
  for (const auto& [node, epoch] : places) {
    changes.push_back({store_key(copy_key(node, epoch)), std::nullopt});
    if (changes.size() < kMaxEtcdChanges) continue;
    FL_CHECK(etcd_.apply({}, changes));
    changes.clear();
  }
  if (!changes.empty()) FL_CHECK(etcd_.apply({}, changes));
  return {};
}

// false: the list has changed meanwhile, or somebody is no longer a member.
Result<bool> EpochKeeper::make_once(std::string& id) {
  FL_TRY(auto list_document, etcd_.get(store_key(kList)));
  FL_TRY(auto settings_document, etcd_.get(store_key("cluster/settings")));
  FL_TRY(auto removal, etcd_.get(store_key(kRemovals)));
  FL_TRY(auto read, etcd_.range({store_key("nodes/"), prefix_end(store_key("nodes/"))}));
  FL_TRY(auto old_copies, etcd_.range({store_key("keys/"), prefix_end(store_key("keys/"))}));
  EpochList list;
  if (list_document) {
    FL_TRY(list, decode_epoch_list(list_document->value, kList));
  }
  FL_TRY(Json settings, parse_json(settings_document ? settings_document->value : "{}", "cluster/settings"));
  if (settings.is_object()) list.interval = number_at(settings, "keySeconds", kDefaultKeyInterval);
  Feed::Documents documents;
  for (auto& document : read.documents)
    documents[document.key.substr(strlen(kStorePrefix))] = std::move(document.value);
  FL_TRY(auto nodes, nodes_of(documents));
  id = make_epoch_id((list.epochs.empty() ? 0 : epoch_number(list.epochs.front().id)) + 1);
  const EpochList next = with_epoch(list, {id, wall_seconds()});
  Seen seen;
  EpochPlan plan;
  std::vector<std::pair<std::string, std::string>> made;
  for (const auto& node : nodes)
    if (!node.public_key.empty()) made.emplace_back(node.node.name, id);
  if (made.empty()) return fail("no node has announced its key yet", EAGAIN);
  {
    FL_TRY(LockedBytes secret, make_epoch_secret());
    seen.secrets.emplace(id, std::move(secret));
  }
  seen.nodes = std::move(nodes);
  plan.seal = made;
  FL_CHECK(seal_missing(seen, plan));
  EtcdCompare unchanged{EtcdCompare::kAbsent, store_key(kList)};
  if (list_document) unchanged = {EtcdCompare::kModifiedAt, store_key(kList), "", list_document->modified};
  // A member that is removed meanwhile has a copy of this one: it must not be used.
  EtcdCompare nobody_gone{EtcdCompare::kAbsent, store_key(kRemovals)};
  if (removal) nobody_gone = {EtcdCompare::kModifiedAt, store_key(kRemovals), "", removal->modified};
  FL_TRY(auto applied, etcd_.apply({unchanged, nobody_gone}, {{store_key(kList), encode(next)}}));
  if (!applied.done) {
    FL_CHECK(remove(made));
    return false;
  }
  // What has fallen out of the list is over for everybody.
  std::vector<std::pair<std::string, std::string>> over;
  for (const auto& epoch : list.epochs) {
    if (epoch.id == next.epochs.back().id || epoch.id == next.epochs.front().id) continue;
    for (const auto& document : old_copies.documents) {
      auto parts = split_key(document.key.substr(strlen(kStorePrefix)));
      if (parts && parts->size() == 3 && (*parts)[2] == epoch.id) over.emplace_back((*parts)[1], epoch.id);
    }
  }
  FL_CHECK(remove(over));
  feed_.reach(applied.revision, 1000);
  return true;
}

Result<std::string> EpochKeeper::rotate(const std::string& why) {
  for (int i = 0; i < kAttempts; i++) {
    std::string id;
    FL_TRY(bool done, make_once(id));
    if (!done) continue;
    log_info("keys: epoch " + id + " is made, because " + why);
    return id;
  }
  return fail("other managers are making epochs, or members go, at the same time; try again", EAGAIN);
}

Result<Json> EpochKeeper::announce(const Identity& who, const Json& request) const {
  const std::string key = store_key("nodes/" + who.name);
  for (const char* name : {"sealKey", "wireguardKey"}) FL_CHECK(decode_public_key(text_at(request, name), name));
  for (int i = 0; i < kAttempts; i++) {
    FL_TRY(auto document, etcd_.get(key));
    if (!document) return fail(who.name + " has no document among the nodes", ENOENT);
    FL_TRY(Json json, parse_json(document->value, "nodes/" + who.name));
    if (!json.is_object()) return fail("nodes/" + who.name + ": it is no object");
    bool same = true;
    const bool first = !json.contains("sealKey");
    for (const char* name : {"sealKey", "wireguardKey"}) {
      same = same && text_at(json, name) == text_at(request, name);
      json[name] = text_at(request, name);
    }
    if (same) return Json::object();
    FL_TRY(auto applied,
           etcd_.apply({{EtcdCompare::kModifiedAt, key, "", document->modified}}, {{key, dump_json(json) + "\n"}}));
    if (!applied.done) continue;
    log_info("keys: " + who.name + (first ? " has told its public keys" : " has new public keys"));
    return Json::object();
  }
  return fail("the document of " + who.name + " changes all the time; try again", EAGAIN);
}

Json EpochKeeper::describe() const {
  Json json{{"epochs", Json::array()}, {"nodes", Json::object()}};
  auto snapshot = feed_.snapshot([](const std::string& key) {
    return key.starts_with("keys/") || key.starts_with("nodes/") || key.starts_with("associations/");
  });
  auto text = snapshot.documents.find(kList);
  auto list =
      text == snapshot.documents.end() ? Result<EpochList>(EpochList{}) : decode_epoch_list(text->second, kList);
  if (!list) return {{"problem", list.error().message}};
  json["interval"] = list->interval;
  for (const auto& epoch : list->epochs)
    json["epochs"].push_back({{"id", epoch.id}, {"number", epoch_number(epoch.id)}, {"created", epoch.created}});
  auto nodes = nodes_of(snapshot.documents);
  if (!nodes || list->epochs.empty()) return json;
  const std::string& newest = list->epochs.front().id;
  for (const auto& node : *nodes) {
    const std::string& name = node.node.name;
    std::string problem;
    if (node.public_key.empty()) problem = "has not told its public key";
    if (problem.empty() && !snapshot.documents.count(copy_key(name, newest)))
      problem = "has no copy of the newest epoch";
    // Who sends to nobody lags behind nobody.
    const std::string prefix = "associations/" + name + "/";
    for (auto it = snapshot.documents.lower_bound(prefix); it != snapshot.documents.end(); ++it) {
      if (!it->first.starts_with(prefix)) break;
      auto association = decode_association(it->second, it->first);
      const bool lags = association && (!association->send || association->send->epoch != newest);
      if (problem.empty() && lags) problem = "still sends to " + association->peer + " in an older epoch";
    }
    json["nodes"][name] = problem;
  }
  return json;
}

}  // namespace fairlead::cluster
