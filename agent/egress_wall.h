// The third wall of encrypted networks (overlay/egress_wall.h) on this host's links to other nodes: made before their
// VXLAN devices, kept as it was, taken away after them. Whoever flushes IPsec policies and nftables at once has not
// opened anything yet, whether or not the agent runs.
//
// The queue (clsact) may be somebody's and is theirs; one of ours goes when nobody has a filter in it. What was made is
// written into run/host.json before. Threads: one; runs in the host's namespace. Several at once (daemon, `realise`)
// only ever add the same. An Error names a link without the wall; the two others stand, and networks go on.
#pragma once

#include <chrono>
#include <cstdint>
#include <set>

#include "agent/repairs.h"
#include "base/result.h"
#include "kernel/netlink.h"
#include "overlay/egress_wall.h"
#include "state/paths.h"

namespace fairlead::agent {

class EgressWall {
 public:
  using Clock = std::chrono::steady_clock;
  // Makes what is missing. Nothing at all while no network is encrypted. Looks at the kernel once a second.
  Result<void> ensure(const Paths& paths, const overlay::EgressFacts& facts, Repairs& repairs);
  // After the devices: takes away what is for ports no longer encrypted, and links no longer used.
  Result<void> release(const Paths& paths, const overlay::EgressFacts& facts);

 private:
  Result<std::set<uint32_t>> links_of(kernel::NetlinkSocket& socket, const overlay::EgressFacts& facts) const;
  Result<void> ensure_link(const Paths& paths, kernel::NetlinkSocket& socket, uint32_t index, Repairs& repairs);

  overlay::EgressFacts known_;
  std::vector<uint16_t> ports_;  // what the wall is for: known_.ports, and former ones until release()
  std::set<uint32_t> links_;     // to the nodes
  std::set<uint32_t> built_;     // those of them with a wall
  Clock::time_point looked_at_{}, asked_at_{};
  Result<void> last_;
};

}  // namespace fairlead::agent
