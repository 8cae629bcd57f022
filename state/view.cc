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

// In the order of StateView::Kind.
struct KindOfDocument {
  const char* path;
  bool durable;  // below state/, not run/
  int depth;     // folders below the top one: none, one per network, one per network and node
};
constexpr KindOfDocument kKindTable[] = {
    {"/networks", true, 0}, {"/services", true, 1},          {"/endpoints", false, 1},
    {"/health", false, 1},  {"/routers", false, 0},          {"/nodes", true, 0},
    {"/blocks", true, 1},   {"/remote/endpoints", false, 2}, {"/remote/health", false, 2}};

int depth_of(const std::string& folder) {
  return folder.empty() ? 0 : 1 + static_cast<int>(std::count(folder.begin(), folder.end(), '/'));
}
std::string below(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : folder + "/" + name;
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

int StateView::fd() const { return watcher_->fd(); }

std::string StateView::folder_path(int kind, const std::string& folder) const {
  return (kKindTable[kind].durable ? paths_.state : paths_.run) + kKindTable[kind].path +
         (folder.empty() ? "" : "/" + folder);
}

Result<void> StateView::load_all(Changes& changes) {
  for (int kind = 0; kind < kKinds; kind++) {
    FL_CHECK(make_folders(folder_path(kind, "")));
    FL_CHECK(load_folder(kind, "", changes));
  }
  return {};
}

Result<void> StateView::load_folder(int kind, const std::string& folder, Changes& changes) {
  const std::string path = folder_path(kind, folder), name = folder.substr(folder.rfind('/') + 1);
  if (!folder.empty() && !is_object_name(name)) {
    problems_[path] = path + ": not the name of a network or node; the folder is ignored";
    return {};
  }
  const bool inner = depth_of(folder) < kKindTable[kind].depth;
  // Watch first, read second: what changes in between is read twice, never missed.
  FL_CHECK(watcher_->watch({kind, folder, inner, path}));
  FL_TRY(auto names, inner ? list_folders(path) : list_documents(path));
  std::set<std::string> all(names.begin(), names.end());
  all.merge(known(kind, folder));
  for (const auto& each : all) {
    if (inner)
      FL_CHECK(load_folder(kind, below(folder, each), changes));
    else
      load_document(kind, folder, each, changes);
  }
  return {};
}

std::set<std::string> StateView::known(int kind, const std::string& folder) const {
  std::set<std::string> names;
  const std::string prefix = folder.empty() ? "" : folder + "/";
  auto take = [&](const std::string& key) {
    if (!key.starts_with(prefix)) return;
    const std::string rest = key.substr(prefix.size());
    names.insert(rest.substr(0, rest.find('/')));
  };
  auto flat = [&](const auto& map) {
    for (const auto& [key, record] : map) take(key);
  };
  auto nested = [&](const auto& map) {
    const std::string network = folder.substr(0, folder.find('/'));
    auto i = network.empty() ? map.begin() : map.lower_bound({network, ""});
    for (; i != map.end() && (network.empty() || i->first.first == network); ++i)
      take(i->first.first + "/" + i->first.second);
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
    case kRemoteEndpoints:
      nested(remote_endpoints_);
      break;
    case kRemoteHealth:
      nested(remote_health_);
      break;
  }
  return names;
}

void StateView::load_document(int kind, const std::string& folder, const std::string& name, Changes& changes) {
  const std::string path = folder_path(kind, folder) + "/" + name + ".json";
  const auto slash = folder.find('/');
  const std::string node = slash == folder.npos ? "" : folder.substr(slash + 1);
  const ObjectKey key{folder.substr(0, slash), node.empty() ? name : node + "/" + name};
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
    case kRemoteEndpoints:
      return refresh_entry(remote_endpoints_, changes.remote_endpoints, problems_, path, key, decode_endpoint,
                           [](const Endpoint& e) {
                             return ObjectKey{e.network, e.node + "/" + e.key()};
                           });
    case kRemoteHealth:
      return refresh_entry(remote_health_, changes.remote_health, problems_, path, key, decode_health,
                           [&](const ServiceHealth& h) {
                             return ObjectKey{h.network, node + "/" + h.service};
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
    if (what == StateWatcher::What::kFolder && folder.top) folders.emplace(folder.kind, below(folder.network, name));
  }));
  if (lost) return rescan();
  for (const auto& [kind, folder] : folders) FL_CHECK(load_folder(kind, folder, changes));
  for (const auto& [kind, folder, name] : documents) load_document(kind, folder, name, changes);
  return changes;
}

Result<Changes> StateView::rescan() {
  Changes changes;
  FL_CHECK(load_all(changes));
  return changes;
}

}  // namespace fairlead
