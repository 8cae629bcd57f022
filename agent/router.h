// One network's router in the kernel of this node: made when missing, completed when half there, put right when
// something drifted. One function for all three, because it looks at what is there and adds what is not.
//
// Crash safety: a new router is finished (rules before links) in a namespace without a name and gets its name
// /run/netns/fl-VNI last; its maker's death takes it away. Concurrency: callers hold the network's lock.
// Runs in the calling thread, whose namespace must be the host's.
#pragma once

#include <memory>
#include <vector>

#include "agent/repairs.h"
#include "agent/rules.h"
#include "base/fd.h"
#include "base/result.h"
#include "kernel/sysctl.h"
#include "overlay/difference.h"
#include "overlay/mesh.h"
#include "state/records.h"

namespace fairlead::agent {

struct RouterWork {
  const Network& network;
  const Router& router;
  std::vector<std::shared_ptr<const Endpoint>> endpoints;  // whose routes and neighbours are looked after
  RulesMark rules;                                         // in and out
  const kernel::SysctlTree& settings;
  int kept_netns = -1;                  // the namespace as it was last seen: gets its name back when that was removed
  const overlay::Mesh* mesh = nullptr;  // nullptr: this node is alone
  bool mesh_changed = false;            // since the last time: differences are no drift
  Result<void> shield;                  // RealiseRequest says
};

struct RouterResult {
  Fd netns;
  bool made = false;           // nothing of it was there
  overlay::Observed observed;  // its links, routes ... after the repairs
  Result<void> overlay;        // the way to other nodes; its trouble is none of the containers' here
};

// repairs: what had to be put back; nothing is counted for a router that was made.
Result<RouterResult> ensure_router(RouterWork& work, Repairs& repairs);

// Uplink and namespace. Containers of it lose their interfaces.
Result<void> remove_router(const Router& router);

}  // namespace fairlead::agent
