// What fairlead needs of the host itself: its nftables table, forwarding, and a way past other people's FORWARD chains.
// Made before the first router's uplink is up, taken away after the last one is gone; then the host is as it was.
//
// Concurrency: under the lock run/.host.lock, so daemon and several `realise` may call at once. Runs in the calling
// thread's namespace, which must be the host's. Cost: a few reads when nothing is to be done.
#pragma once

#include <string>
#include <vector>

#include "agent/repairs.h"
#include "base/result.h"
#include "state/paths.h"

namespace fairlead::agent {

// v6: some network here has IPv6. repairs gets what was there once and had to be put back.
Result<void> ensure_host(const Paths& paths, bool v6, Repairs& repairs);
// Whether forwarding still is as ensure_host() left it; two reads.
bool host_forwards(bool v6);
// When no network has anything in the kernel any more (agent/uplink_index.h): everything back as it was. Else nothing.
Result<void> release_host(const Paths& paths);

}  // namespace fairlead::agent
