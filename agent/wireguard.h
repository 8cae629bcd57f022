// The node's WireGuard device (overlay/wireguard_plan.h): made, put right, taken away.
//
// Concurrency: under the lock run/.wireguard.lock, so the daemon and several `realise` may call at once. Runs in the
// calling thread, whose namespace must be the host's. Cost when nothing is to be done: five netlink requests.
#pragma once

#include <string>
#include <vector>

#include "agent/repairs.h"
#include "base/result.h"
#include "overlay/wireguard_plan.h"
#include "state/node_record.h"
#include "state/paths.h"

namespace fairlead::agent {

// What this kernel lacks for `encryption: wireguard`, "" for nothing. A good answer holds for the process' life, a bad
// one for 30 s: a module can still be installed.
const std::string& missing_for_wireguard();

// With the keys decoded, 50 µs each: a key of low order, which anybody could answer for, counts as none.
std::vector<overlay::WireguardNode> wireguard_nodes(const std::vector<Node>& nodes);

// An Error: networks with this encryption must not leave the node. Else problems with single nodes, for people.
// repairs: what had to be put back; nullptr when differences are what was asked for (a node came or went).
Result<std::vector<std::string>> ensure_wireguard(const Paths& paths, const std::string& self,
                                                  const std::vector<overlay::WireguardNode>& nodes, Repairs* repairs);

// No network needs it any more.
Result<void> remove_wireguard(const Paths& paths);

}  // namespace fairlead::agent
