#include "agent/router_watch.h"

#include <linux/rtnetlink.h>

#include <cerrno>

#include "kernel/netns.h"
#include "kernel/nft.h"

namespace fairlead::agent {

Result<RouterWatch> RouterWatch::open(Fd netns) {
  std::optional<kernel::NetlinkSocket> events, firewall;
  FL_CHECK(kernel::in_netns(netns.get(), [&]() -> Result<void> {
    FL_TRY(events, kernel::NetlinkSocket::open(NETLINK_ROUTE));
    FL_TRY(firewall, kernel::NetlinkSocket::open(NETLINK_NETFILTER));
    return {};
  }));
  for (unsigned group :
       {RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
        RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF})
    FL_CHECK(events->join(group));
  return RouterWatch(std::move(netns), std::move(*events), std::move(*firewall));
}

Result<bool> RouterWatch::changed() {
  bool changed = false;
  auto drained = events_.receive([&](const nlmsghdr&) { changed = true; });
  if (!drained) {
    if (drained.error().sys != ENOBUFS) return fail(drained.error());
    changed = true;
  }
  FL_TRY(uint32_t generation, kernel::nft_generation(firewall_));
  if (generation_ != generation) changed = true;
  generation_ = generation;
  return changed;
}

bool RouterWatch::has_name(const std::string& path) const {
  auto named = kernel::open_netns(path);
  if (!named) return false;
  auto same = kernel::same_netns(named->get(), netns_.get());
  return same && *same;
}

}  // namespace fairlead::agent
