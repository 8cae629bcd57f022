// The name by which this node is known to the others.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "state/paths.h"

namespace fairlead {

// What concerns everybody of state/cluster.json: in a cluster the node's name is the one in its certificate.
struct ClusterPlace {
  std::string cluster;  // its id, with which its documents are marked
  std::string name;
  bool founding = false;  // the cluster does not know this node's networks yet
};
// nullopt: this node is in no cluster.
Result<std::optional<ClusterPlace>> cluster_place(const Paths& paths);

// Its name in the cluster, else state/node.json's `name`; without one the host's name up to its first dot, in lower
// case. An error when node.json is bad, or when neither is a name a node may have (base/names.h): one is never guessed.
Result<std::string> node_name(const Paths& paths);

}  // namespace fairlead
