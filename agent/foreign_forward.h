// Other people's FORWARD chains. An accept in our own table does not undo a drop in another base chain of the same
// hook, and Docker sets the policy of iptables' FORWARD to DROP. So rules of ours stand at the head of that chain,
// where our own table (overlay/host_rules.h) has decided or will: everything to a router's uplink, and from an uplink
// to links that lead out of the machine. Not to other people's bridges and veths: what Docker closes stays closed to
// our containers, too. Only these rules are ever written or removed there; their comments begin with "fairlead".
#pragma once

#include <string>
#include <vector>

#include "agent/repairs.h"
#include "base/result.h"
#include "kernel/nft.h"

namespace fairlead::agent {

// Links of the calling thread's namespace that lead out: those of routes with a gateway, and all that are neither
// bridges nor veths nor ours.
Result<std::vector<std::string>> outward_links();

// Tables ip filter and ip6 filter of the calling thread's namespace. Nothing happens where there is no FORWARD chain or
// where it drops nothing. true when a rule had to be put in.
Result<bool> ensure_forward_accept(kernel::NftSession& nft);
Result<void> remove_forward_accept(kernel::NftSession& nft);
// iptables-legacy's tables cannot be changed from here; one line for each that is in use: what it means, what to do.
std::vector<std::string> legacy_problems();

}  // namespace fairlead::agent
