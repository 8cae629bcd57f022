// What the documents say about the cluster, for the parts of the kernel that depend on it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "overlay/egress_wall.h"
#include "overlay/host_rules.h"
#include "overlay/ipsec_plan.h"
#include "overlay/mesh.h"
#include "state/paths.h"
#include "state/view.h"

namespace fairlead::agent {

// A network's mesh as the view has it; nullopt: this node is alone (no document of its own in nodes/).
std::optional<overlay::Mesh> mesh_of(const StateView& view, const std::string& self, const Network& network);
// The same, reading the documents: for the command `realise`. Bad documents are left out, as in the view.
Result<std::optional<overlay::Mesh>> read_mesh(const Paths& paths, const Network& network);

// The documents of all nodes; bad ones are left out.
Result<std::vector<Node>> read_nodes(const Paths& paths);
// What IPsec policies are made from: all documents, whether this node takes part in the network or not.
overlay::IpsecFacts ipsec_facts_of(const StateView& view, const std::string& self);
Result<overlay::IpsecFacts> read_ipsec_facts(const Paths& paths);
// The same for the wall behind those of both kinds of encryption.
overlay::EgressFacts egress_facts_of(const StateView& view, const std::string& self);
Result<overlay::EgressFacts> read_egress_facts(const Paths& paths);
// Why the network may not use its port, "" when it may.
Result<std::string> read_port_conflict(const Paths& paths, const Network& network);

// Fills in nodes and vnis, reading the documents; nothing when this node is alone.
Result<void> read_tunnel_facts(const Paths& paths, overlay::HostRuleFacts& facts);

}  // namespace fairlead::agent
