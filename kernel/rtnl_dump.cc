#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cstring>

#include "kernel/rtnl.h"

namespace fairlead::kernel {
namespace {

Mac read_mac(std::string_view bytes) {
  Mac mac;
  if (bytes.size() == mac.bytes.size()) memcpy(mac.bytes.data(), bytes.data(), bytes.size());
  return mac;
}

std::optional<Address> read_address(int family, std::string_view bytes) {
  if (bytes.size() != (family == AF_INET ? 4u : 16u)) return std::nullopt;
  return Address::from_bytes(family, bytes.data());
}

Address zero(int family) {
  static const char zeros[16] = {};
  return Address::from_bytes(family, zeros);
}

// IF_OPER_UP; linux/if.h, which has it, does not go together with net/if.h.
constexpr uint8_t kOperUp = 6;

bool is_ip(int family) { return family == AF_INET || family == AF_INET6; }

Link read_link(const nlmsghdr& message) {
  const auto* header = static_cast<const ifinfomsg*>(NLMSG_DATA(&message));
  Attributes a(message, sizeof *header);
  Link link;
  link.index = static_cast<uint32_t>(header->ifi_index);
  link.name = a.text(IFLA_IFNAME);
  link.kind = a.nested(IFLA_LINKINFO).text(IFLA_INFO_KIND);
  link.mac = read_mac(a.bytes(IFLA_ADDRESS));
  link.mtu = a.u32(IFLA_MTU);
  link.up = header->ifi_flags & IFF_UP;
  link.running = a.u8(IFLA_OPERSTATE) == kOperUp;
  link.peer_index = a.u32(IFLA_LINK);
  return link;
}

}  // namespace

Result<std::vector<Link>> dump_links(NetlinkSocket& socket) {
  std::vector<Link> links;
  Message m(RTM_GETLINK, 0, "list links");
  m.header(ifinfomsg{});
  FL_CHECK(socket.dump(
      std::move(m),
      [&](const nlmsghdr& message) {
        if (message.nlmsg_type == RTM_NEWLINK) links.push_back(read_link(message));
      },
      [&] { links.clear(); }));
  return links;
}

namespace {

Result<std::optional<Link>> find_one(NetlinkSocket& socket, Message m) {
  std::optional<Link> link;
  auto found = socket.query(std::move(m), [&](const nlmsghdr& message) {
    if (message.nlmsg_type == RTM_NEWLINK) link = read_link(message);
  });
  if (!found && found.error().sys != ENODEV) return fail(found.error());
  return link;
}

}  // namespace

Result<std::optional<Link>> find_link(NetlinkSocket& socket, const std::string& name) {
  Message m(RTM_GETLINK, 0, "look up link " + name);
  m.header(ifinfomsg{}).put_string(IFLA_IFNAME, name);
  return find_one(socket, std::move(m));
}

Result<std::optional<Link>> find_link(NetlinkSocket& socket, uint32_t index) {
  Message m(RTM_GETLINK, 0, "look up link number " + std::to_string(index));
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(index);
  m.header(header).put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  return find_one(socket, std::move(m));
}

Result<std::vector<LinkAddress>> dump_addresses(NetlinkSocket& socket, uint32_t index) {
  std::vector<LinkAddress> addresses;
  Message m(RTM_GETADDR, 0, "list addresses");
  ifaddrmsg filter{};
  filter.ifa_index = index;  // honoured under NETLINK_GET_STRICT_CHK (inet_valid_dump_ifaddr_req)
  m.header(filter);
  FL_CHECK(socket.dump(
      std::move(m),
      [&](const nlmsghdr& message) {
        if (message.nlmsg_type != RTM_NEWADDR) return;
        const auto* header = static_cast<const ifaddrmsg*>(NLMSG_DATA(&message));
        Attributes a(message, sizeof *header);
        // IFA_LOCAL is the own end of a point-to-point address; IPv6 has IFA_ADDRESS only.
        if (index && header->ifa_index != index) return;
        auto address = read_address(header->ifa_family, a.bytes(a.has(IFA_LOCAL) ? IFA_LOCAL : IFA_ADDRESS));
        if (!address) return;
        uint32_t flags = a.u32(IFA_FLAGS, header->ifa_flags);
        addresses.push_back({header->ifa_index, Prefix{*address, header->ifa_prefixlen},
                             (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) != 0, (flags & IFA_F_PERMANENT) != 0});
      },
      [&] { addresses.clear(); }));
  return addresses;
}

namespace {

std::optional<Route> read_route(const nlmsghdr& message) {
  const auto* header = static_cast<const rtmsg*>(NLMSG_DATA(&message));
  if (message.nlmsg_type != RTM_NEWROUTE || !is_ip(header->rtm_family)) return std::nullopt;
  if (header->rtm_flags & RTM_F_CLONED) return std::nullopt;  // cached exceptions, not routes
  Attributes a(message, sizeof *header);
  Route r;
  auto destination = read_address(header->rtm_family, a.bytes(RTA_DST));
  r.destination = Prefix{destination ? *destination : zero(header->rtm_family), header->rtm_dst_len};
  r.gateway = read_address(header->rtm_family, a.bytes(RTA_GATEWAY));
  r.index = a.u32(RTA_OIF);
  r.onlink = header->rtm_flags & RTNH_F_ONLINK;
  r.type = header->rtm_type;
  r.table = a.u32(RTA_TABLE, header->rtm_table);
  r.metric = a.u32(RTA_PRIORITY);
  r.source = read_address(header->rtm_family, a.bytes(RTA_PREFSRC));
  Attributes metrics = a.nested(RTA_METRICS);
  r.mtu = metrics.u32(RTAX_MTU);
  r.advmss = metrics.u32(RTAX_ADVMSS);
  r.protocol = header->rtm_protocol;
  r.scope = header->rtm_scope;
  return r;
}

Result<std::vector<Route>> dump_some_routes(NetlinkSocket& socket, const rtmsg& filter,
                                            const std::function<bool(const Route&)>& wanted) {
  std::vector<Route> routes;
  Message m(RTM_GETROUTE, 0, "list routes");
  m.header(filter);
  FL_CHECK(socket.dump(
      std::move(m),
      [&](const nlmsghdr& message) {
        auto route = read_route(message);
        if (route && wanted(*route)) routes.push_back(*route);
      },
      [&] { routes.clear(); }));
  return routes;
}

}  // namespace

Result<std::vector<Route>> dump_routes(NetlinkSocket& socket, uint32_t table) {
  return dump_some_routes(socket, rtmsg{}, [&](const Route& route) { return table == 0 || route.table == table; });
}

Result<std::vector<Route>> dump_own_routes(NetlinkSocket& socket, int family) {
  rtmsg filter{};  // honoured under NETLINK_GET_STRICT_CHK (ip_valid_fib_dump_req)
  filter.rtm_family = static_cast<uint8_t>(family);
  filter.rtm_protocol = kRouteProtocol;
  filter.rtm_table = RT_TABLE_MAIN;
  return dump_some_routes(socket, filter, [](const Route& route) {
    return route.protocol == kRouteProtocol && route.table == RT_TABLE_MAIN;
  });
}

Result<std::vector<Neighbour>> dump_neighbours(NetlinkSocket& socket, uint32_t index) {
  std::vector<Neighbour> neighbours;
  Message m(RTM_GETNEIGH, 0, "list neighbours");
  m.header(ndmsg{});
  if (index) m.put_u32(NDA_IFINDEX, index);
  FL_CHECK(socket.dump(
      std::move(m),
      [&](const nlmsghdr& message) {
        const auto* header = static_cast<const ndmsg*>(NLMSG_DATA(&message));
        if (message.nlmsg_type != RTM_NEWNEIGH || !is_ip(header->ndm_family)) return;
        Attributes a(message, sizeof *header);
        if (index && static_cast<uint32_t>(header->ndm_ifindex) != index) return;
        auto address = read_address(header->ndm_family, a.bytes(NDA_DST));
        if (!address) return;
        neighbours.push_back({static_cast<uint32_t>(header->ndm_ifindex), *address, read_mac(a.bytes(NDA_LLADDR)),
                              (header->ndm_state & NUD_PERMANENT) != 0});
      },
      [&] { neighbours.clear(); }));
  return neighbours;
}

}  // namespace fairlead::kernel
