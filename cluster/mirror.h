// What the cluster says, as files of this node: networks, services, nodes and other nodes' blocks below state/,
// endpoints and health of other nodes below run/remote/, with what is said about keys: epochs, the secrets sealed to
// this node (0600), what other nodes tell this one about their associations.
//
// Promise: a file is removed only when it was had from this cluster (it carries the cluster's mark, or is below
// run/remote/, where nobody else writes) and the cluster has said that its document is gone. What is the node's own and
// differs stays, and is a problem. A document that is not valid is a problem, and what was there before stays.
// Endpoints of a node are files while the node is live; they come back with it, without being sent again.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/feed.h"
#include "cluster/scope.h"
#include "state/paths.h"

namespace fairlead::cluster {

class Mirror {
 public:
  Mirror(Paths paths, std::string cluster, std::string self)
      : paths_(std::move(paths)), cluster_(std::move(cluster)), self_(std::move(self)) {}

  // All there is: compares every file.
  Result<void> replace(Feed::Documents documents);
  // Changes after that.
  Result<void> apply(const std::vector<EtcdEvent>& events);

  // Other networks concern this node from now on: forgets endpoints and health of those that are not in the scope, and
  // takes documents of new ones.
  Result<void> narrow(const Scope& scope, Feed::Documents added);
  // Nothing is written: what the files should be and are not, in words, by key. For compare_mirror().
  Result<std::map<std::string, std::string>> compare(Feed::Documents documents);

  const Feed::Documents& documents() const { return documents_; }
  const std::map<std::string, std::string>& problems() const { return problems_; }  // by key

 private:
  struct Place {
    std::string path, folder, lock;  // lock: empty when nobody else writes there
    bool durable = false;            // below state/
    unsigned mode = 0640, folder_mode = 0755;
  };
  std::optional<Place> place_of(const std::string& key) const;
  bool place_of_keys(const std::vector<std::string>& parts, Place& place) const;
  bool shown(const std::string& key) const;
  Result<void> settle(const std::string& key);
  Result<void> settle_all(const std::set<std::string>& keys);
  Result<void> write(const std::string& key, const Place& place, const std::string& value);
  Result<void> remove(const Place& place);
  Result<std::vector<std::string>> keys_on_disk() const;
  Result<std::string> difference(const std::string& key) const;

  Paths paths_;
  std::string cluster_, self_;
  Feed::Documents documents_;
  std::map<std::string, std::string> problems_;
};

// How the files of this node differ from the documents of the store.
inline Result<std::map<std::string, std::string>> compare_mirror(const Paths& paths, const std::string& cluster,
                                                                 const std::string& self, Feed::Documents documents) {
  return Mirror(paths, cluster, self).compare(std::move(documents));
}

}  // namespace fairlead::cluster
