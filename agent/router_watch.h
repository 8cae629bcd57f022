// A router the daemon keeps an eye on: its namespace held open, and whether anything in it changed.
//
// The descriptor keeps the namespace alive when its name is removed, so that it can get the name back with every
// connection intact. Cost of a look: two or three system calls, however much the router holds; what changed is
// found out by a dump, and only then. Threads: one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "kernel/netlink.h"

namespace fairlead::agent {

class RouterWatch {
 public:
  static Result<RouterWatch> open(Fd netns);

  int netns() const { return netns_.get(); }
  // Whether links, addresses, routes, neighbours, rules, forwarding settings or the firewall changed since the last
  // call. Lost notifications count as a change.
  Result<bool> changed();
  // Whether path still is this namespace's name.
  bool has_name(const std::string& path) const;

 private:
  RouterWatch(Fd netns, kernel::NetlinkSocket events, kernel::NetlinkSocket firewall)
      : netns_(std::move(netns)), events_(std::move(events)), firewall_(std::move(firewall)) {}
  Fd netns_;
  kernel::NetlinkSocket events_, firewall_;
  std::optional<uint32_t> generation_;
};

}  // namespace fairlead::agent
