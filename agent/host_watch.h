// Whether the host's part still is as fairlead left it: its firewall, forwarding, and the host ends of the uplinks.
// Threads: one; lives in the host's namespace.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/result.h"
#include "kernel/netlink.h"

namespace fairlead::agent {

class HostWatch {
 public:
  static Result<HostWatch> open();

  struct Changed {
    bool firewall = false;          // any transaction of anybody since the last call
    bool links = false;             // a link that is not ours came, went or changed
    bool everything = false;        // notifications were lost
    std::set<std::string> uplinks;  // interface names
  };
  Result<Changed> changed();

 private:
  HostWatch(kernel::NetlinkSocket events, kernel::NetlinkSocket firewall)
      : events_(std::move(events)), firewall_(std::move(firewall)) {}
  void note(const nlmsghdr& message, Changed& changed);
  kernel::NetlinkSocket events_, firewall_;
  std::optional<uint32_t> generation_;
  std::map<uint32_t, std::string> names_;  // of uplinks, by interface number: other messages carry numbers only
};

}  // namespace fairlead::agent
