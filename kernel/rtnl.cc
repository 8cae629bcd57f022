#include "kernel/rtnl.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>

namespace fairlead::kernel {
namespace {

constexpr uint16_t kCreate = NLM_F_CREATE | NLM_F_EXCL;
constexpr uint16_t kReplace = NLM_F_CREATE | NLM_F_REPLACE;
// linux/if_link.h IN6_ADDR_GEN_MODE_NONE: no automatic link-local address.
constexpr uint8_t kNoAddresses = 1;

void put_address(Message& m, uint16_t type, const Address& a) { m.put(type, a.bytes(), a.size()); }
void put_mac(Message& m, uint16_t type, const std::optional<Mac>& mac) {
  if (mac) m.put(type, mac->bytes.data(), mac->bytes.size());
}

void put_no_link_local(Message& m) {
  m.nest(IFLA_AF_SPEC, [](Message& spec) {
    spec.nest(AF_INET6, [](Message& inet6) { inet6.put_u8(IFLA_INET6_ADDR_GEN_MODE, kNoAddresses); });
  });
}

void put_one_queue(Message& m) { m.put_u32(IFLA_NUM_TX_QUEUES, 1).put_u32(IFLA_NUM_RX_QUEUES, 1); }

ifinfomsg link_header(uint32_t index, std::optional<bool> up = {}) {
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = static_cast<int>(index);
  if (up) {
    header.ifi_change = IFF_UP;
    header.ifi_flags = *up ? IFF_UP : 0;
  }
  return header;
}

ifaddrmsg address_header(uint32_t index, const Prefix& prefix) {
  ifaddrmsg header{};
  header.ifa_family = static_cast<uint8_t>(prefix.family());
  header.ifa_prefixlen = static_cast<uint8_t>(prefix.length);
  header.ifa_index = index;
  // 169.254/16 stays global as with `ip address add`: masquerading picks no link-scope source (inet_select_addr).
  if (prefix.address.is_v6() && prefix.address.is_link_local()) header.ifa_scope = RT_SCOPE_LINK;
  return header;
}

Message route_message(uint16_t type, uint16_t flags, const Route& r, const std::string& what) {
  Message m(type, flags, what + " " + r.destination.to_string());
  rtmsg header{};
  header.rtm_family = static_cast<uint8_t>(r.destination.family());
  header.rtm_dst_len = static_cast<uint8_t>(r.destination.length);
  header.rtm_table = static_cast<uint8_t>(r.table < 256 ? r.table : RT_TABLE_UNSPEC);
  header.rtm_type = r.type;
  header.rtm_protocol = type == RTM_DELROUTE ? 0 : r.protocol;
  bool nowhere = r.type == RTN_UNREACHABLE || r.type == RTN_BLACKHOLE || r.type == RTN_PROHIBIT;
  rt_scope_t scope = r.type == RTN_LOCAL ? RT_SCOPE_HOST : r.gateway || nowhere ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  header.rtm_scope = r.scope.value_or(static_cast<uint8_t>(scope));
  if (r.destination.family() == AF_INET6) header.rtm_scope = RT_SCOPE_UNIVERSE;
  if (type == RTM_DELROUTE && !r.scope) header.rtm_scope = RT_SCOPE_NOWHERE;
  if (r.onlink) header.rtm_flags |= RTNH_F_ONLINK;
  m.header(header);
  if (r.destination.length) put_address(m, RTA_DST, r.destination.address);
  m.put_u32(RTA_TABLE, r.table);
  if (r.index) m.put_u32(RTA_OIF, r.index);
  if (r.gateway) put_address(m, RTA_GATEWAY, *r.gateway);
  if (r.source) put_address(m, RTA_PREFSRC, *r.source);
  if (r.metric) m.put_u32(RTA_PRIORITY, r.metric);
  if (r.mtu || r.advmss)
    m.nest(RTA_METRICS, [&](Message& metrics) {
      if (r.mtu) metrics.put_u32(RTAX_MTU, r.mtu);
      if (r.advmss) metrics.put_u32(RTAX_ADVMSS, r.advmss);
    });
  return m;
}

Message neighbour_message(uint16_t type, uint16_t flags, uint32_t index, const Address& address, const char* verb) {
  Message m(type, flags, std::string(verb) + " neighbour " + address.to_string());
  ndmsg header{};
  header.ndm_family = static_cast<uint8_t>(address.family());
  header.ndm_ifindex = static_cast<int>(index);
  header.ndm_state = NUD_PERMANENT;
  m.header(header);
  put_address(m, NDA_DST, address);
  return m;
}

}  // namespace

Message add_veth(const VethSpec& s) {
  Message m(RTM_NEWLINK, kCreate, "make veth " + s.name + " and " + s.peer_name);
  m.header(link_header(s.index, s.up ? std::optional<bool>(true) : std::nullopt));
  m.put_string(IFLA_IFNAME, s.name);
  if (s.mtu) m.put_u32(IFLA_MTU, s.mtu);
  put_mac(m, IFLA_ADDRESS, s.mac);
  put_one_queue(m);
  m.nest(IFLA_LINKINFO, [&](Message& info) {
    info.put_string(IFLA_INFO_KIND, "veth");
    info.nest(IFLA_INFO_DATA, [&](Message& data) {
      data.nest(VETH_INFO_PEER, [&](Message& peer) {
        peer.header(link_header(s.peer_index));
        peer.put_string(IFLA_IFNAME, s.peer_name);
        if (s.mtu) peer.put_u32(IFLA_MTU, s.mtu);
        put_mac(peer, IFLA_ADDRESS, s.peer_mac);
        if (s.peer_netns >= 0) peer.put_u32(IFLA_NET_NS_FD, static_cast<uint32_t>(s.peer_netns));
        put_one_queue(peer);
      });
    });
  });
  return m;
}

Message set_link(const LinkChange& c) {
  Message m(RTM_NEWLINK, 0, "change link " + (c.new_name.empty() ? std::to_string(c.index) : c.new_name));
  m.header(link_header(c.index, c.up));
  if (c.mtu) m.put_u32(IFLA_MTU, c.mtu);
  put_mac(m, IFLA_ADDRESS, c.mac);
  if (!c.new_name.empty()) m.put_string(IFLA_IFNAME, c.new_name);
  if (c.netns >= 0) m.put_u32(IFLA_NET_NS_FD, static_cast<uint32_t>(c.netns));
  if (c.no_link_local) put_no_link_local(m);
  return m;
}

Message delete_link(uint32_t index, const std::string& what) {
  Message m(RTM_DELLINK, 0, "delete link " + what);
  m.header(link_header(index)).tolerate({ENODEV});
  return m;
}

Message delete_link(const std::string& name) {
  Message m(RTM_DELLINK, 0, "delete link " + name);
  m.header(link_header(0)).put_string(IFLA_IFNAME, name).tolerate({ENODEV});
  return m;
}

Message set_address(uint32_t index, const Prefix& prefix) {
  Message m(RTM_NEWADDR, kReplace, "set address " + prefix.to_string());
  m.header(address_header(index, prefix));
  put_address(m, IFA_LOCAL, prefix.address);
  put_address(m, IFA_ADDRESS, prefix.address);
  // Nobody else can have the address; waiting a second for duplicates would delay every start (RFC 4862 5.4).
  if (prefix.address.is_v6()) m.put_u32(IFA_FLAGS, IFA_F_NODAD);
  return m;
}

Message delete_address(uint32_t index, const Prefix& prefix) {
  Message m(RTM_DELADDR, 0, "delete address " + prefix.to_string());
  m.header(address_header(index, prefix));
  put_address(m, IFA_LOCAL, prefix.address);
  m.tolerate({EADDRNOTAVAIL, ENODEV});
  return m;
}

Message set_route(const Route& route) { return route_message(RTM_NEWROUTE, kReplace, route, "set route"); }

Message add_route(const Route& route) { return route_message(RTM_NEWROUTE, kCreate, route, "add route"); }

Message delete_route(const Route& route) {
  Message m = route_message(RTM_DELROUTE, 0, route, "delete route");
  m.tolerate({ESRCH, ENOENT, ENODEV});
  return m;
}

Message set_neighbour(uint32_t index, const Address& address, const Mac& mac) {
  Message m = neighbour_message(RTM_NEWNEIGH, kReplace, index, address, "set");
  m.put(NDA_LLADDR, mac.bytes.data(), mac.bytes.size());
  return m;
}

Message delete_neighbour(uint32_t index, const Address& address) {
  Message m = neighbour_message(RTM_DELNEIGH, 0, index, address, "delete");
  m.tolerate({ENOENT, ENODEV});
  return m;
}

}  // namespace fairlead::kernel
