// `fairlead-agent realise NETWORK`: the network's router on this node, made or put right, once. What the CNI plugin
// calls when a network has no router yet, and what the daemon does for every network.
//
// Idempotent; several at once and the daemon beside them are kept apart by a lock per network
// (run/routers/.NETWORK.lock, given up after 10 s).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/repairs.h"
#include "agent/router.h"
#include "base/result.h"
#include "state/paths.h"
#include "state/records.h"

namespace fairlead::agent {

struct RealiseRequest {
  const kernel::SysctlTree& settings;
  std::shared_ptr<const Network> network;
  std::vector<std::shared_ptr<const Endpoint>> endpoints;
  int kept_netns = -1;
  bool host = true;                   // the host's part, too
  int lock_timeout_ms = 10000;        // 0: an Error with sys EWOULDBLOCK when somebody else is at it
  std::optional<overlay::Mesh> mesh;  // nullopt: this node is alone
  bool mesh_changed = false;          // since the last time
  // Of an encrypted network: whether what protects it is in force (agent/ipsec_guard.h). On an Error it is not between
  // nodes: its device is not made, and taken away when it is there.
  Result<void> shield;
};

struct Realised {
  Router router;
  RouterResult result;
  Repairs repairs;
};

Result<Realised> realise(const Paths& paths, const RealiseRequest& request);

// Takes a network's router, its document and its number away; the host's part too when it was the last one.
// Refused while the network has endpoints on this node.
Result<void> unrealise(const Paths& paths, const std::string& network);

// The command: reads the network's document, then realise().
Result<void> realise_by_name(const Paths& paths, const std::string& network);

}  // namespace fairlead::agent
