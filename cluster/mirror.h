// What the cluster says, as files of this node: networks, services and nodes below state/, endpoints and health of
// other nodes below run/remote/.
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

  const Feed::Documents& documents() const { return documents_; }
  const std::map<std::string, std::string>& problems() const { return problems_; }  // by key

 private:
  struct Place {
    std::string path, folder, lock;  // lock: empty when nobody else writes there
    bool durable = false;            // below state/
  };
  std::optional<Place> place_of(const std::string& key) const;
  bool shown(const std::string& key) const;
  Result<void> settle(const std::string& key);
  Result<void> settle_all(const std::set<std::string>& keys);
  Result<void> write(const std::string& key, const Place& place, const std::string& value);
  Result<void> remove(const Place& place);
  Result<std::vector<std::string>> keys_on_disk() const;

  Paths paths_;
  std::string cluster_, self_;
  Feed::Documents documents_;
  std::map<std::string, std::string> problems_;
};

}  // namespace fairlead::cluster
