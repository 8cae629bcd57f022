// The limits on what one container sends and receives (capability bandwidth), kept in the router where the container
// cannot take them off: what goes into it waits in a token bucket at its host end; what comes out of it is sent through
// the bucket of a device of its own (ifb), because a link has a queue for what it sends only.
// Planning is pure. Kernel: kernel/tc.h. Used by attach() and by the agent for repair.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "kernel/netlink.h"
#include "kernel/tc.h"
#include "state/records.h"

namespace fairlead::overlay {

struct Shaping {
  std::string ifb;  // its name, there when `out` is
  uint32_t mtu = 0;
  std::optional<kernel::TokenBucket> into, out;
  bool any() const { return into || out; }
};

// Of an attachment's device: its host end's name with another first letter. Taken by detach(), too.
std::string ifb_of(const std::string& host_ifname);

// The buckets of an endpoint's limits. A burst holds at least one packet of that MTU, or nothing would ever go; what
// waits may be 25 ms late, as with the bandwidth plugin.
Shaping shaping_of(const Endpoint& endpoint, uint32_t mtu);

// Requests that put it on the host end, in order. ifb_index: a free number, needed when `out` is there.
kernel::Batch shaping_requests(const Shaping& shaping, uint32_t host_index, uint32_t ifb_index);

// What is not as it should be on the host end, in words ("the limit on what it receives"); "" when all is.
Result<std::string> missing_shaping(kernel::NetlinkSocket& router, const Shaping& shaping, uint32_t host_index);
// Puts it there anew; for a moment there is no limit.
Result<void> renew_shaping(kernel::NetlinkSocket& router, const Shaping& shaping, uint32_t host_index);

// Removes devices whose host end is gone: its container's namespace ended, or its ADD was killed. A device is made
// after its host end and removed after it, so nobody is about to use one that is alone. → how many
Result<uint32_t> remove_stray_devices(kernel::NetlinkSocket& router);

// A number for a new link, random and at least 2^bits; see attach.cc for why.
uint32_t draw_link_index(int bits);

}  // namespace fairlead::overlay
