#include "state/view.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/names.h"
#include "state/store.h"
#include "state/watcher.h"

namespace fairlead {
namespace {

template <class Record>
Result<std::optional<Record>> read_record(const std::string& path,
                                          Result<Record> (*decode)(const Json&, const std::string&)) {
  FL_TRY(auto text, read_file(path));
  if (!text) return std::nullopt;
  FL_TRY(Json json, parse_json(*text, path));
  FL_TRY(Record record, decode(json, path));
  return std::optional<Record>(std::move(record));
}

// Puts the document at path into map[key], or takes the key out when the document is gone or bad.
template <class Key, class Record, class Identity>
void refresh_entry(std::map<Key, std::shared_ptr<const Record>>& map, std::set<Key>& changed,
                   std::map<std::string, std::string>& problems, const std::string& path, const Key& key,
                   Result<Record> (*decode)(const Json&, const std::string&), Identity identity) {
  problems.erase(path);
  auto record = read_record(path, decode);
  // A document in another's place would give two documents one identity.
  if (record && *record && identity(**record) != key)
    record = fail(path + ": the names inside do not match the path; rename the file or correct the names");
  if (!record) problems[path] = record.error().message;
  if (record && *record) {
    map[key] = std::make_shared<const Record>(std::move(**record));
    changed.insert(key);
  } else if (map.erase(key)) {
    changed.insert(key);
  }
}

}  // namespace

StateView::StateView(Paths paths) : paths_(std::move(paths)) {}
StateView::~StateView() = default;

Result<std::unique_ptr<StateView>> StateView::open(const Paths& paths) {
  std::unique_ptr<StateView> view(new StateView(paths));
  FL_TRY(auto watcher, StateWatcher::open());
  view->watcher_ = std::make_unique<StateWatcher>(std::move(watcher));
  Changes changes;
  FL_CHECK(view->load_all(changes));
  return view;
}

bool StateView::has_folder_per_network(int kind) {
  return kind == kServices || kind == kEndpoints || kind == kHealth || kind == kBlocks;
}

int StateView::fd() const { return watcher_->fd(); }

std::string StateView::folder_path(int kind, const std::string& network) const {
  static const char* const kNames[] = {"/networks", "/services", "/endpoints", "/health",
                                       "/routers",  "/nodes",    "/blocks"};
  const bool durable = kind == kNetworks || kind == kServices || kind == kNodes || kind == kBlocks;
  std::string path = (durable ? paths_.state : paths_.run) + kNames[kind];
  if (!network.empty()) path += "/" + network;
  return path;
}

Result<void> StateView::load_all(Changes& changes) {
  for (int kind = kNetworks; kind <= kBlocks; kind++) {
    std::string top = folder_path(kind, "");
    FL_CHECK(make_folders(top));
    // Watch first, read second: what changes in between is read twice, never missed.
    FL_CHECK(watcher_->watch({kind, "", has_folder_per_network(kind), top}));
    if (!has_folder_per_network(kind)) {
      FL_CHECK(load_folder(kind, "", changes));
      continue;
    }
    FL_TRY(auto folders, list_folders(top));
    std::set<std::string> networks(folders.begin(), folders.end());
    networks.merge(known_networks(kind));
    for (const auto& network : networks) FL_CHECK(load_folder(kind, network, changes));
  }
  return {};
}

Result<void> StateView::load_folder(int kind, const std::string& network, Changes& changes) {
  std::string path = folder_path(kind, network);
  if (!network.empty()) {
    if (!is_object_name(network)) {
      problems_[path] = path + ": not the name of a network; the folder is ignored";
      return {};
    }
    FL_CHECK(watcher_->watch({kind, network, false, path}));
  }
  FL_TRY(auto names, list_documents(path));
  std::set<std::string> all(names.begin(), names.end());
  all.merge(known(kind, network));
  for (const auto& name : all) load_document(kind, network, name, changes);
  return {};
}

std::set<std::string> StateView::known(int kind, const std::string& network) const {
  std::set<std::string> names;
  auto flat = [&](const auto& map) {
    for (const auto& [key, record] : map) names.insert(key);
  };
  auto nested = [&](const auto& map) {
    for (auto it = map.lower_bound({network, ""}); it != map.end() && it->first.first == network; ++it)
      names.insert(it->first.second);
  };
  switch (kind) {
    case kNetworks:
      flat(networks_);
      break;
    case kServices:
      nested(services_);
      break;
    case kEndpoints:
      nested(endpoints_);
      break;
    case kHealth:
      nested(health_);
      break;
    case kRouters:
      flat(routers_);
      break;
    case kNodes:
      flat(nodes_);
      break;
    case kBlocks:
      nested(blocks_);
      break;
  }
  return names;
}

std::set<std::string> StateView::known_networks(int kind) const {
  std::set<std::string> names;
  auto collect = [&](const auto& map) {
    for (const auto& [key, record] : map) names.insert(key.first);
  };
  if (kind == kServices) collect(services_);
  if (kind == kEndpoints) collect(endpoints_);
  if (kind == kHealth) collect(health_);
  if (kind == kBlocks) collect(blocks_);
  return names;
}

void StateView::load_document(int kind, const std::string& network, const std::string& name, Changes& changes) {
  std::string path = folder_path(kind, network) + "/" + name + ".json";
  ObjectKey key{network, name};
  switch (kind) {
    case kNetworks:
      return refresh_entry(networks_, changes.networks, problems_, path, name, decode_network,
                           [](const Network& n) { return n.name; });
    case kServices:
      return refresh_entry(services_, changes.services, problems_, path, key, decode_service, [](const Service& s) {
        return ObjectKey{s.network, s.name};
      });
    case kEndpoints:
      return refresh_entry(endpoints_, changes.endpoints, problems_, path, key, decode_endpoint, [](const Endpoint& e) {
        return ObjectKey{e.network, e.key()};
      });
    case kHealth:
      return refresh_entry(health_, changes.health, problems_, path, key, decode_health, [](const ServiceHealth& h) {
        return ObjectKey{h.network, h.service};
      });
    case kRouters:
      return refresh_entry(routers_, changes.routers, problems_, path, name, decode_router,
                           [](const Router& r) { return r.network; });
    case kNodes:
      return refresh_entry(nodes_, changes.nodes, problems_, path, name, decode_node,
                           [](const Node& n) { return n.name; });
    case kBlocks:
      return refresh_entry(blocks_, changes.blocks, problems_, path, key, decode_node_blocks, [](const NodeBlocks& b) {
        return ObjectKey{b.network, b.node};
      });
  }
}

Result<Changes> StateView::refresh() {
  Changes changes;
  bool lost = false;
  // Several events of one document (create, write, rename) are one reading.
  std::set<std::tuple<int, std::string, std::string>> documents;
  std::set<std::pair<int, std::string>> folders;
  FL_CHECK(watcher_->drain([&](StateWatcher::What what, const StateWatcher::Folder& folder, const std::string& name) {
    if (what == StateWatcher::What::kLost) lost = true;
    if (what == StateWatcher::What::kDocument) documents.emplace(folder.kind, folder.network, name);
    if (what == StateWatcher::What::kFolder && folder.top) folders.emplace(folder.kind, name);
  }));
  if (lost) return rescan();
  for (const auto& [kind, network] : folders) FL_CHECK(load_folder(kind, network, changes));
  for (const auto& [kind, network, name] : documents) load_document(kind, network, name, changes);
  return changes;
}

Result<Changes> StateView::rescan() {
  Changes changes;
  FL_CHECK(load_all(changes));
  return changes;
}

}  // namespace fairlead
