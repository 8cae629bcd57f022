// What this node reaches by routes and addresses of its own: a network's subnet must keep away from it, because
// containers send what is not theirs to the host, and the host would answer or forward it elsewhere.
#pragma once

#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"

namespace fairlead::overlay {

struct HostPrefix {
  Prefix prefix;
  std::string what;  // "route 172.17.0.0/16 dev docker0"
};

// Of the calling thread's network namespace, every routing table. Left out: default routes and halves or quarters of
// one (a VPN's 0.0.0.0/1, an IPv6 provider's 2000::/3), link-local, multicast and unreachable destinations.
// Cost: two dumps.
Result<std::vector<HostPrefix>> host_prefixes();

// The first of `taken` that overlaps, or nullptr.
const HostPrefix* find_overlap(const std::vector<HostPrefix>& taken, const Prefix& subnet);

}  // namespace fairlead::overlay
