// rtnetlink requests as functions from records to messages (pure), and dumps into records. Every "set" uses replace
// semantics: what is there already with the same meaning is success, what differs is replaced.
// Formats: linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h, linux/neighbour.h (kernel 6.1).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "kernel/netlink.h"

namespace fairlead::kernel {

struct VethSpec {
  std::string name, peer_name;
  // Chosen by the caller so that one batch can make the link and use it (a random 24-bit number; on EEXIST choose
  // again). 0: the kernel chooses.
  uint32_t index = 0, peer_index = 0;
  std::optional<Mac> mac, peer_mac;
  uint32_t mtu = 0;
  int peer_netns = -1;  // -1: the same namespace
  bool up = false;      // our end; the peer cannot be made up in the same request (kernel: veth_newlink, ENOTCONN)
};
// Both ends get one queue, which is what the kernel would use anyway: left to itself it makes one per CPU, switches all
// but the first off again and waits for an RCU grace period at each end (veth_init_queues, drivers/net/veth.c).
// Protocol settings (IFLA_AF_SPEC) cannot be given here, the kernel refuses them for a link it is about to make.
Message add_veth(const VethSpec& spec);
// up/down and/or attributes of an existing link. Zero or empty values stay as they are.
struct LinkChange {
  uint32_t index = 0;
  std::optional<bool> up;
  std::optional<Mac> mac;
  uint32_t mtu = 0;
  std::string new_name;
  int netns = -1;              // move there
  bool no_link_local = false;  // no automatic fe80:: (IN6_ADDR_GEN_MODE_NONE); in a request before the one with up
};
Message set_link(const LinkChange& change);
Message delete_link(uint32_t index, const std::string& what);
Message delete_link(const std::string& name);  // ENODEV is tolerated

Message set_address(uint32_t index, const Prefix& prefix);  // NODAD for IPv6; scope by address; replace
Message delete_address(uint32_t index, const Prefix& prefix);

struct Route {
  Prefix destination;  // 0.0.0.0/0 for a default route
  std::optional<Address> gateway;
  uint32_t index = 0;  // output interface, 0: none
  bool onlink = false;
  uint8_t type = 1;      // RTN_UNICAST, RTN_LOCAL (2), RTN_UNREACHABLE (7)
  uint32_t table = 254;  // RT_TABLE_MAIN; RT_TABLE_LOCAL (255)
  uint32_t metric = 0;
  std::optional<Address> source;  // preferred source
  uint32_t mtu = 0, advmss = 0;
  uint8_t protocol = 57;  // rt_protos: ours, so that a reconciler knows its own
  std::optional<uint8_t> scope;
  friend bool operator==(const Route&, const Route&) = default;
};
inline constexpr uint8_t kRouteProtocol = 57;
Message set_route(const Route& route);     // replace
Message add_route(const Route& route);     // EEXIST when there is one of the same destination and metric
Message delete_route(const Route& route);  // ESRCH, ENOENT, ENODEV tolerated

Message set_neighbour(uint32_t index, const Address& address, const Mac& mac);  // permanent, replace
Message delete_neighbour(uint32_t index, const Address& address);

struct Link {
  uint32_t index = 0;
  std::string name, kind;
  Mac mac;
  uint32_t mtu = 0;
  bool up = false;
  // It has its queue: what is sent through it is not dropped. A moment later than `up` for the end of a veth that was
  // up before its peer was: the kernel does it in a work item (net/core/link_watch.c).
  bool running = false;
  uint32_t peer_index = 0;  // IFLA_LINK
};
Result<std::vector<Link>> dump_links(NetlinkSocket& socket);
Result<std::optional<Link>> find_link(NetlinkSocket& socket, const std::string& name);  // nullopt: no such link
Result<std::optional<Link>> find_link(NetlinkSocket& socket, uint32_t index);
struct LinkAddress {
  uint32_t index = 0;
  Prefix prefix;
  bool tentative = false, permanent = true;
};
// index != 0: of that link only (filtered by the kernel)
Result<std::vector<LinkAddress>> dump_addresses(NetlinkSocket& socket, uint32_t index = 0);
// tables: every table unless table != 0
Result<std::vector<Route>> dump_routes(NetlinkSocket& socket, uint32_t table = 254);
// Ours alone, of the main table: the kernel leaves the others out, however many there are.
Result<std::vector<Route>> dump_own_routes(NetlinkSocket& socket, int family);
struct Neighbour {
  uint32_t index = 0;
  Address address;
  Mac mac;
  bool permanent = false;
};
Result<std::vector<Neighbour>> dump_neighbours(NetlinkSocket& socket, uint32_t index = 0);

}  // namespace fairlead::kernel
