#include "agent/host_watch.h"

#include <linux/rtnetlink.h>

#include <cerrno>

#include "kernel/nft.h"
#include "kernel/rtnl.h"

namespace fairlead::agent {

Result<HostWatch> HostWatch::open() {
  FL_TRY(auto events, kernel::NetlinkSocket::open(NETLINK_ROUTE));
  FL_TRY(auto firewall, kernel::NetlinkSocket::open(NETLINK_NETFILTER));
  for (unsigned group : {RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR})
    FL_CHECK(events.join(group));
  HostWatch watch(std::move(events), std::move(firewall));
  FL_TRY(auto socket, kernel::NetlinkSocket::open(NETLINK_ROUTE));
  FL_TRY(auto links, kernel::dump_links(socket));
  for (const auto& link : links)
    if (link.name.starts_with("ul")) watch.names_[link.index] = link.name;
  return watch;
}

void HostWatch::note(const nlmsghdr& message, Changed& changed) {
  uint32_t index = 0;
  switch (message.nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK: {
      const auto* header = static_cast<const ifinfomsg*>(NLMSG_DATA(&message));
      index = static_cast<uint32_t>(header->ifi_index);
      std::string name = kernel::Attributes(message, sizeof *header).text(IFLA_IFNAME);
      if (name.starts_with("ul"))
        names_[index] = name;
      else
        changed.links = true;
      break;
    }
    case RTM_NEWADDR:
    case RTM_DELADDR:
      index = static_cast<const ifaddrmsg*>(NLMSG_DATA(&message))->ifa_index;
      break;
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      index = static_cast<uint32_t>(static_cast<const ndmsg*>(NLMSG_DATA(&message))->ndm_ifindex);
      break;
    default:
      return;
  }
  auto name = names_.find(index);
  if (name == names_.end()) return;
  changed.uplinks.insert(name->second);
  if (message.nlmsg_type == RTM_DELLINK) names_.erase(name);
}

Result<HostWatch::Changed> HostWatch::changed() {
  Changed changed;
  auto drained = events_.receive([&](const nlmsghdr& message) { note(message, changed); });
  if (!drained) {
    if (drained.error().sys != ENOBUFS) return fail(drained.error());
    changed.everything = true;
  }
  FL_TRY(uint32_t generation, kernel::nft_generation(firewall_));
  changed.firewall = generation_ != generation;
  generation_ = generation;
  return changed;
}

}  // namespace fairlead::agent
