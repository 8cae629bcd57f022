// What members ask of documents: their own, those of operators, and how the cluster is.
#include <algorithm>
#include <cerrno>

#include <nlohmann/json.hpp>

#include "cluster/document_check.h"
#include "cluster/encoding.h"
#include "cluster/member_documents.h"
#include "cluster/publication.h"
#include "cluster/session.h"
#include "state/block_record.h"
#include "state/records.h"

namespace fairlead::cluster {
namespace {

constexpr int kCheckMs = 12000;

// What a member writes by itself.
bool is_of(const std::string& key, const std::string& node) {
  return is_published(key, node) || key == "checks/" + node;
}

// The networks or services of the store, but not the one at key.
std::vector<std::string> others(const Feed& feed, const std::string& prefix, const std::string& key) {
  std::vector<std::string> values;
  auto snapshot = feed.snapshot([&](const std::string& k) { return k.starts_with(prefix) && k != key; });
  for (auto& [k, value] : snapshot.documents) values.push_back(std::move(value));
  return values;
}

Result<void> check_network(const Feed& feed, const std::string& key, const std::string& value) {
  FL_TRY(Json json, parse_json(value, key));
  FL_TRY(Network network, decode_network(json, key));
  for (const auto& other : others(feed, "networks/", key)) {
    auto document = parse_json(other, "network");
    auto record = document ? decode_network(*document, "network") : fail(document.error());
    if (record && record->vni == network.vni)
      return fail(
          "network " + network.name + ": VNI " + std::to_string(network.vni) + " belongs to network " + record->name,
          EEXIST);
  }
  return {};
}

// A VIP is one service's, and no container's: of the network's pool, which no block has part of.
Result<void> check_vips(const Feed& feed, const std::string& key, const std::string& value, const std::string& net) {
  FL_TRY(Json json, parse_json(value, key));
  FL_TRY(Service service, decode_service(json, key));
  FL_TRY(Json document, parse_json(net, "network"));
  FL_TRY(Network network, decode_network(document, "network"));
  const std::string what = "service " + service.name + ": VIP ";
  for (const auto& vip : service.vips) {
    auto pool = network.vip_pool(vip.family());
    if (!pool || !pool->contains(vip))
      return fail(what + vip.to_string() + " is not in the VIP pool of network " + network.name, EINVAL);
    for (const auto& other : others(feed, "blocks/" + network.name + "/", "")) {
      auto blocks = parse_json(other, "blocks");
      auto record = blocks ? decode_node_blocks(*blocks, "blocks") : fail(blocks.error());
      for (const auto& block : record ? record->blocks : std::vector<Prefix>())
        if (block.contains(vip))
          return fail(what + vip.to_string() + " is in the block " + block.to_string() + " of node " + record->node,
                      EADDRINUSE);
    }
    for (const auto& other : others(feed, "services/" + network.name + "/", key)) {
      auto text = parse_json(other, "service");
      auto record = text ? decode_service(*text, "service") : fail(text.error());
      if (record && std::find(record->vips.begin(), record->vips.end(), vip) != record->vips.end())
        return fail(what + vip.to_string() + " belongs to service " + record->name + " of network " + network.name,
                    EADDRINUSE);
    }
  }
  return {};
}

Result<void> check_unused(const Feed& feed, const std::string& network) {
  for (const char* kind : {"services/", "endpoints/"}) {
    auto used = others(feed, kind + network + "/", "");
    if (!used.empty())
      return fail("network " + network + " has " + std::to_string(used.size()) + " " +
                      (kind[0] == 's' ? "services; remove them first"
                                      : "endpoints in the cluster; stop their containers first"),
                  EBUSY);
  }
  return {};
}

}  // namespace

// Also what was written a moment ago, through another manager.
Result<Json> Session::own() {
  FL_TRY(auto now, parts_.etcd.range({store_key("cluster/settings"), "", 1, 0}));
  parts_.feed.reach(now.revision, 2000);
  auto snapshot = parts_.feed.snapshot([&](const std::string& key) { return is_published(key, who().name); });
  return Json{{"documents", snapshot.documents}, {"revision", snapshot.revision}};
}

Result<Json> Session::write(const Json& request) {
  std::vector<EtcdChange> changes;
  auto puts = request.find("put"), removals = request.find("remove");
  if (puts != request.end() && puts->is_object()) {
    for (const auto& [key, value] : puts->items()) {
      FL_CHECK(may(Verb::kWrite, key));
      if (!is_of(key, who().name) || !value.is_string()) return fail(key + ": cannot be written like this", EINVAL);
      auto good = check_document(key, value.get<std::string>());
      if (!good) return fail(good.error().message, EINVAL);
      changes.push_back({store_key(key), value.get<std::string>()});
    }
  }
  if (removals != request.end() && removals->is_array()) {
    for (const auto& item : *removals) {
      const std::string key = item.is_string() ? item.get<std::string>() : "";
      FL_CHECK(may(Verb::kRemove, key));
      if (!is_of(key, who().name)) return fail(key + ": cannot be removed like this", EINVAL);
      changes.push_back({store_key(key), std::nullopt});
    }
  }
  if (changes.empty() || changes.size() > kMaxEtcdChanges)
    return fail("write: 1 to " + std::to_string(kMaxEtcdChanges) + " changes at a time", EINVAL);
  FL_TRY(auto applied, parts_.etcd.apply({}, changes));
  return Json{{"revision", applied.revision}};
}

// A network or a service, decided on what was there at "revision". When something has changed since: EAGAIN.
Result<Json> Session::submit(const Json& request) {
  const std::string key = text_at(request, "key");
  const int64_t revision = number_at(request, "revision");
  const bool removal = !request.contains("value");
  FL_CHECK(may(removal ? Verb::kRemove : Verb::kWrite, key));
  FL_TRY(auto parts, split_key(key));
  const bool network = parts[0] == "networks" && parts.size() == 2,
             service = parts[0] == "services" && parts.size() == 3;
  if (!network && !service) return fail(key + ": cannot be written like this", EINVAL);
  const std::string value = text_at(request, "value");
  std::vector<EtcdCompare> unchanged;
  for (const char* prefix : {"networks/", "services/"})
    unchanged.push_back({EtcdCompare::kNoneModifiedAfter, store_key(prefix), prefix_end(store_key(prefix)), revision});
  EtcdChange change{store_key(key), std::nullopt};
  if (!removal) {
    FL_CHECK(check_document(key, value));
    FL_TRY(change.value, with_mark(value, ""));
  }
  parts_.feed.reach(revision, 2000);
  if (network && removal) FL_CHECK(check_unused(parts_.feed, parts[1]));
  if (network && !removal) FL_CHECK(check_network(parts_.feed, key, value));
  if (service && !removal) {
    FL_TRY(auto there, parts_.etcd.get(store_key("networks/" + parts[1])));
    if (!there) return fail("there is no network " + parts[1] + " in the cluster", ENOENT);
    unchanged.push_back({EtcdCompare::kModifiedAt, there->key, "", there->modified});
    FL_CHECK(check_vips(parts_.feed, key, value, there->value));
  }
  std::vector<EtcdChange> changes{change};
  if (network && removal)
    for (const char* kind : {"blocks/", "departed/"}) {
      const std::string prefix = store_key(kind + parts[1] + "/");
      changes.push_back({prefix, std::nullopt, 0, prefix_end(prefix)});
    }
  FL_TRY(auto applied, parts_.etcd.apply(unchanged, changes));
  if (!applied.done) return fail("networks or services of the cluster have changed meanwhile; try again", EAGAIN);
  return Json{{"revision", applied.revision}};
}

// Asks all members that are live to compare their directories (cluster/check.h) and to write down what they find.
Result<Json> Session::check_all() {
  FL_CHECK(may(Verb::kWrite, "check/wanted"));
  const std::string id = to_hex(random_bytes(8));
  FL_TRY(auto asked, parts_.etcd.apply({}, {{store_key("check/wanted"), dump_json({{"apiVersion", 1}, {"id", id}})}}));
  (void)asked;
  const int64_t deadline = now_ms() + kCheckMs;
  for (;;) {
    Json nodes = Json::object();
    bool all = true;
    const auto live = parts_.feed.snapshot([](const std::string& key) { return key.starts_with("live/"); });
    for (const auto& [key, value] : live.documents) {
      const std::string name = key.substr(key.find('/') + 1);
      auto said = parse_json(parts_.feed.get("checks/" + name).value_or("{}"), "checks/" + name);
      const bool answered = said && said->is_object() && text_at(*said, "id") == id;
      nodes[name] = answered ? *said : Json{{"inStep", false}, {"problem", "it has not answered"}};
      all = all && answered;
    }
    if (all || now_ms() >= deadline) return Json{{"nodes", std::move(nodes)}};
    parts_.feed.wait(parts_.feed.revision(), 200);
    if (parts_.stop.is_set()) return fail("stopped", ECANCELED);
  }
}

// As follow's beginning, but what etcd says now, not what this manager has heard.
Result<void> Session::read() {
  FL_CHECK(admitted());
  const std::string prefix = kStorePrefix;
  FL_TRY(auto stored, parts_.etcd.range({prefix, prefix_end(prefix)}));
  parts_.feed.reach(stored.revision, 2000);
  scope_ = scope_of(parts_.feed, who());
  Feed::Snapshot snapshot;
  snapshot.revision = stored.revision;
  for (auto& document : stored.documents) {
    std::string key = document.key.substr(prefix.size());
    if (visible(key)) snapshot.documents[std::move(key)] = std::move(document.value);
  }
  return send_documents(std::move(snapshot));
}

Result<Json> Session::status() {
  FL_CHECK(may(Verb::kRead, "cluster/settings"));
  const std::string prefix = visible("members/*") ? "members/" : "nodes/";
  auto snapshot = parts_.feed.snapshot([&](const std::string& key) { return key.starts_with(prefix); });
  Json members = Json::array();
  for (const auto& [key, value] : snapshot.documents) {
    auto json = parse_json(value, key);
    if (!json || !json->is_object()) continue;
    const std::string name = text_at(*json, "name");
    const auto live = parts_.feed.get("live/" + name);
    members.push_back({{"name", name},
                       {"role", text_at(*json, "role")},
                       {"number", number_at(*json, "number")},
                       {"address", text_at(*json, "address")},
                       {"live", live.has_value()}});
    if (int64_t ahead = clock_ahead(live)) members.back()["clockAhead"] = ahead;
  }
  (void)parts_.registry.note_certificate(*secured_.certificate);  // next time
  auto settings = parts_.registry.settings();                     // needs a leader of etcd
  Json status{{"manager", parts_.self.name},
              {"keys", parts_.epochs.describe()},
              {"revision", snapshot.revision},
              {"members", std::move(members)},
              {"store", settings ? "ok" : settings.error().message}};
  if (auto rotation = rotation_of(parts_.feed); rotation && rotation->under_way())
    status["exchange"] = {{"since", rotation->started}, {"waiting", progress_of(parts_.feed, *rotation, 0, 0).waiting}};
  return status;
}

}  // namespace fairlead::cluster
