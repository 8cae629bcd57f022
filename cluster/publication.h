// What a node tells the cluster of itself: its endpoints and the health of its services' tasks, as documents of the
// store; and the difference to what the store has. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "cluster/feed.h"
#include "state/view.h"

namespace fairlead::cluster {

// Keys and documents of everything in the view, the node's name filled in.
Feed::Documents own_documents(const StateView& view, const std::string& node);
// And of what the node tells others about the associations with them (run/associations).
Result<void> add_associations(const Paths& paths, const std::string& node, Feed::Documents& documents);

// Whether a document of the store is one of those of this node: endpoints/NETWORK/NODE/…, health/NETWORK/NODE/…,
// associations/NODE/….
bool is_published(const std::string& key, const std::string& node);

// The requests (session.h: write) that make the store's documents the node's, at most kMaxEtcdChanges changes and about
// half a megabyte in each; removals first, so that an address that moved is never seen twice.
std::vector<Json> differences(const Feed::Documents& wanted, const Feed::Documents& stored);

}  // namespace fairlead::cluster
