// StateView: all documents a daemon is interested in, parsed, kept in step with the directory by inotify.
//
// Promise: after refresh() the maps hold every valid document that was in the directory when refresh() began.
// A bad document is left out, reported in problems() by path and field, and never takes its neighbours down; when a
// document goes bad its last good version is dropped.
// Cost: a change of one document reads that document only, however many there are. On inotify overflow or when a
// folder appears, what is concerned is read again.
// Threads: none of its own, and not safe for several; readers in other threads get copies (shared_ptr records).
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "state/block_record.h"
#include "state/node_record.h"
#include "state/paths.h"
#include "state/records.h"

namespace fairlead {

class StateWatcher;

// (network, object name or attachment key)
using ObjectKey = std::pair<std::string, std::string>;

struct Changes {
  std::set<std::string> networks;
  std::set<ObjectKey> services;
  std::set<ObjectKey> endpoints;
  std::set<ObjectKey> health;
  std::set<std::string> routers;
  std::set<std::string> nodes;
  std::set<ObjectKey> blocks;            // (network, node)
  std::set<ObjectKey> remote_endpoints;  // (network, "node/attachment key")
  std::set<ObjectKey> remote_health;     // (network, "node/service")
  bool any() const {
    return !(networks.empty() && services.empty() && endpoints.empty() && health.empty() && routers.empty() &&
             nodes.empty() && blocks.empty() && remote_endpoints.empty() && remote_health.empty());
  }
};

class StateView {
 public:
  // Makes missing folders, starts watching, loads everything.
  static Result<std::unique_ptr<StateView>> open(const Paths& paths);
  ~StateView();

  int fd() const;  // readable when refresh() has something to do; for poll/epoll
  // Applies what has happened since; never blocks. The names of all that was added, changed or removed.
  Result<Changes> refresh();
  // Reads everything again (the periodic safety net).
  Result<Changes> rescan();

  const std::map<std::string, std::shared_ptr<const Network>>& networks() const { return networks_; }
  const std::map<ObjectKey, std::shared_ptr<const Service>>& services() const { return services_; }
  const std::map<ObjectKey, std::shared_ptr<const Endpoint>>& endpoints() const { return endpoints_; }
  const std::map<ObjectKey, std::shared_ptr<const ServiceHealth>>& health() const { return health_; }
  const std::map<std::string, std::shared_ptr<const Router>>& routers() const { return routers_; }
  const std::map<std::string, std::shared_ptr<const Node>>& nodes() const { return nodes_; }
  const std::map<ObjectKey, std::shared_ptr<const NodeBlocks>>& blocks() const { return blocks_; }
  // What other nodes have; as (network, "node/…").
  const std::map<ObjectKey, std::shared_ptr<const Endpoint>>& remote_endpoints() const { return remote_endpoints_; }
  const std::map<ObjectKey, std::shared_ptr<const ServiceHealth>>& remote_health() const { return remote_health_; }
  // path → message
  const std::map<std::string, std::string>& problems() const { return problems_; }

 private:
  enum Kind : int {
    kNetworks,
    kServices,
    kEndpoints,
    kHealth,
    kRouters,
    kNodes,
    kBlocks,
    kRemoteEndpoints,
    kRemoteHealth,
    kKinds
  };
  explicit StateView(Paths paths);

  // A folder of a kind: "" for its top folder, "NETWORK", "NETWORK/NODE".
  std::string folder_path(int kind, const std::string& folder) const;
  Result<void> load_all(Changes& changes);
  // Reads everything below a folder and drops what is no longer there.
  Result<void> load_folder(int kind, const std::string& folder, Changes& changes);
  void load_document(int kind, const std::string& folder, const std::string& name, Changes& changes);
  // Names of the documents, or of the folders, that the maps have from this folder.
  std::set<std::string> known(int kind, const std::string& folder) const;

  Paths paths_;
  std::unique_ptr<StateWatcher> watcher_;
  std::map<std::string, std::shared_ptr<const Network>> networks_;
  std::map<ObjectKey, std::shared_ptr<const Service>> services_;
  std::map<ObjectKey, std::shared_ptr<const Endpoint>> endpoints_;
  std::map<ObjectKey, std::shared_ptr<const ServiceHealth>> health_;
  std::map<std::string, std::shared_ptr<const Router>> routers_;
  std::map<std::string, std::shared_ptr<const Node>> nodes_;
  std::map<ObjectKey, std::shared_ptr<const NodeBlocks>> blocks_;
  std::map<ObjectKey, std::shared_ptr<const Endpoint>> remote_endpoints_;
  std::map<ObjectKey, std::shared_ptr<const ServiceHealth>> remote_health_;
  std::map<std::string, std::string> problems_;
};

}  // namespace fairlead
