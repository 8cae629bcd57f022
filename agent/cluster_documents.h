// What the documents say about the cluster, for the parts of the kernel that depend on it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "overlay/host_rules.h"
#include "overlay/mesh.h"
#include "state/paths.h"
#include "state/view.h"

namespace fairlead::agent {

// A network's mesh as the view has it; nullopt: this node is alone (no document of its own in nodes/), or the network
// is one whose packets may not leave the node in the clear.
std::optional<overlay::Mesh> mesh_of(const StateView& view, const std::string& self, const Network& network);
// The same, reading the documents: for the command `realise`. Bad documents are left out, as in the view.
Result<std::optional<overlay::Mesh>> read_mesh(const Paths& paths, const Network& network);

// The documents of all nodes; bad ones are left out.
Result<std::vector<Node>> read_nodes(const Paths& paths);

// Fills in nodes and vnis, reading the documents; nothing when this node is alone.
Result<void> read_tunnel_facts(const Paths& paths, overlay::HostRuleFacts& facts);

}  // namespace fairlead::agent
