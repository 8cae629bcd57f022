// Which networks a node takes part in, by what the store says: it has endpoints there, or a service of the network
// publishes a port on every node. Endpoints and health of other networks are nothing it may read.
// Threads: stateless.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "base/json.h"
#include "cluster/feed.h"
#include "cluster/pki.h"

namespace fairlead::cluster {

// nullopt: all networks.
using Scope = std::optional<std::set<std::string>>;

// Roles without containers (operator, viewer) look at everything; a manager is a node among others.
Scope scope_of(const Feed& feed, const Identity& who);
// Whether after this change of the store the scope of this node may be another one.
bool changes_scope(const Scope& scope, const EtcdEvent& event, const std::string& node);
bool in_scope(const Scope& scope, const std::string& key);

// As "networks" of a message: absent means all.
Scope scope_at(const Json& message);
void put_scope(Json& message, const Scope& scope);

}  // namespace fairlead::cluster
