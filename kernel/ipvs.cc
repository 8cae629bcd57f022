#include "kernel/ipvs.h"

#include <arpa/inet.h>
#include <linux/genetlink.h>
#include <linux/ip_vs.h>

#include <cerrno>
#include <cstring>

namespace fairlead::kernel {
namespace {

constexpr uint8_t kVersion = 1;

std::string port_text(const Address& address, uint16_t port) {
  return (address.is_v6() ? "[" + address.to_string() + "]" : address.to_string()) + ":" + std::to_string(port);
}

// Addresses are always 16 bytes here (union nf_inet_addr).
void put_address(Message& m, uint16_t type, const Address& a) {
  uint8_t bytes[16] = {};
  memcpy(bytes, a.bytes(), a.size());
  m.put(type, bytes, sizeof bytes);
}

Address read_address(const Attributes& a, uint16_t type, int family) {
  auto bytes = a.bytes(type);
  if (bytes.size() < 16 || (family != AF_INET && family != AF_INET6)) return {};
  return Address::from_bytes(family, bytes.data());
}

void put_service_key(Message& m, const IpvsService& s) {
  m.put_u16(IPVS_SVC_ATTR_AF, static_cast<uint16_t>(s.address.family()));
  m.put_u16(IPVS_SVC_ATTR_PROTOCOL, s.protocol);
  put_address(m, IPVS_SVC_ATTR_ADDR, s.address);
  m.put_u16(IPVS_SVC_ATTR_PORT, htons(s.port));
}

void put_service(Message& m, const IpvsService& s) {
  m.nest(IPVS_CMD_ATTR_SERVICE | NLA_F_NESTED, [&](Message& nest) {
    put_service_key(nest, s);
    nest.put_string(IPVS_SVC_ATTR_SCHED_NAME, s.scheduler);
    ip_vs_flags flags{s.flags, kIpvsPersistent | kIpvsFallback};
    nest.put(IPVS_SVC_ATTR_FLAGS, &flags, sizeof flags);
    nest.put_u32(IPVS_SVC_ATTR_TIMEOUT, s.timeout_seconds);
    // Persistence per client address. IPv4: a mask; IPv6: a prefix length (net/netfilter/ipvs/ip_vs_ctl.c).
    nest.put_u32(IPVS_SVC_ATTR_NETMASK, s.address.is_v4() ? 0xffffffff : 128);
  });
}

void put_key(Message& m, const IpvsService& s) {
  m.nest(IPVS_CMD_ATTR_SERVICE | NLA_F_NESTED, [&](Message& nest) { put_service_key(nest, s); });
}

void put_destination(Message& m, const IpvsDestination& d, bool whole) {
  m.nest(IPVS_CMD_ATTR_DEST | NLA_F_NESTED, [&](Message& nest) {
    put_address(nest, IPVS_DEST_ATTR_ADDR, d.address);
    nest.put_u16(IPVS_DEST_ATTR_PORT, htons(d.port));
    nest.put_u16(IPVS_DEST_ATTR_ADDR_FAMILY, static_cast<uint16_t>(d.address.family()));
    if (!whole) return;
    nest.put_u32(IPVS_DEST_ATTR_FWD_METHOD, IP_VS_CONN_F_MASQ);
    nest.put_u32(IPVS_DEST_ATTR_WEIGHT, d.weight);
    nest.put_u32(IPVS_DEST_ATTR_U_THRESH, 0);
    nest.put_u32(IPVS_DEST_ATTR_L_THRESH, 0);
  });
}

}  // namespace

std::string IpvsService::to_string() const {
  const char* name = protocol == 6 ? "tcp " : protocol == 17 ? "udp " : protocol == 132 ? "sctp " : "? ";
  return name + port_text(address, port);
}

Result<std::optional<Ipvs>> Ipvs::open() {
  FL_TRY(auto socket, NetlinkSocket::open(NETLINK_GENERIC));
  Message m(GENL_ID_CTRL, 0, "find netlink family IPVS");
  m.header(genlmsghdr{CTRL_CMD_GETFAMILY, 1, 0});
  m.put_string(CTRL_ATTR_FAMILY_NAME, IPVS_GENL_NAME);
  uint16_t family = 0;
  // The kernel loads ip_vs for this question when it is a module (net/netlink/genetlink.c).
  auto found = socket.query(std::move(m), [&](const nlmsghdr& message) {
    family = Attributes(message, sizeof(genlmsghdr)).u16(CTRL_ATTR_FAMILY_ID);
  });
  if (!found && found.error().sys == ENOENT) return std::nullopt;
  FL_CHECK(found);
  return std::optional<Ipvs>(Ipvs(std::make_unique<NetlinkSocket>(std::move(socket)), family));
}

Message Ipvs::request(uint8_t command, std::string what) const {
  Message m(family_, 0, std::move(what));
  m.header(genlmsghdr{command, kVersion, 0});
  return m;
}

Result<std::vector<IpvsService>> Ipvs::services() {
  std::vector<IpvsService> list;
  FL_CHECK(socket_->dump(
      request(IPVS_CMD_GET_SERVICE, "list IPVS services"),
      [&](const nlmsghdr& message) {
        Attributes a = Attributes(message, sizeof(genlmsghdr)).nested(IPVS_CMD_ATTR_SERVICE);
        if (a.has(IPVS_SVC_ATTR_FWMARK)) return;
        IpvsService s;
        s.address = read_address(a, IPVS_SVC_ATTR_ADDR, a.u16(IPVS_SVC_ATTR_AF));
        s.protocol = static_cast<uint8_t>(a.u16(IPVS_SVC_ATTR_PROTOCOL));
        s.port = ntohs(a.u16(IPVS_SVC_ATTR_PORT));
        s.scheduler = a.text(IPVS_SVC_ATTR_SCHED_NAME);
        s.flags = a.u32(IPVS_SVC_ATTR_FLAGS) & (kIpvsPersistent | kIpvsFallback);
        s.timeout_seconds = s.flags & kIpvsPersistent ? a.u32(IPVS_SVC_ATTR_TIMEOUT) : 0;
        if (s.address) list.push_back(std::move(s));
      },
      [&] { list.clear(); }));
  return list;
}

Result<std::vector<IpvsDestination>> Ipvs::destinations(const IpvsService& service) {
  std::vector<IpvsDestination> list;
  Message m = request(IPVS_CMD_GET_DEST, "list IPVS destinations of " + service.to_string());
  put_key(m, service);
  FL_CHECK(socket_->dump(
      std::move(m),
      [&](const nlmsghdr& message) {
        Attributes a = Attributes(message, sizeof(genlmsghdr)).nested(IPVS_CMD_ATTR_DEST);
        IpvsDestination d;
        d.address = read_address(a, IPVS_DEST_ATTR_ADDR,
                                 a.u16(IPVS_DEST_ATTR_ADDR_FAMILY, static_cast<uint16_t>(service.address.family())));
        d.port = ntohs(a.u16(IPVS_DEST_ATTR_PORT));
        d.weight = a.u32(IPVS_DEST_ATTR_WEIGHT);
        d.active = a.u32(IPVS_DEST_ATTR_ACTIVE_CONNS);
        d.inactive = a.u32(IPVS_DEST_ATTR_INACT_CONNS);
        if (d.address) list.push_back(d);
      },
      [&] { list.clear(); }));
  return list;
}

Message Ipvs::add(const IpvsService& s) const {
  Message m = request(IPVS_CMD_NEW_SERVICE, "add IPVS service " + s.to_string() + " with scheduler " + s.scheduler);
  put_service(m, s);
  return m;
}
Message Ipvs::set(const IpvsService& s) const {
  Message m = request(IPVS_CMD_SET_SERVICE, "change IPVS service " + s.to_string() + " to scheduler " + s.scheduler);
  put_service(m, s);
  return m;
}
Message Ipvs::remove(const IpvsService& s) const {
  Message m = request(IPVS_CMD_DEL_SERVICE, "delete IPVS service " + s.to_string());
  put_key(m, s);
  return m;
}
Message Ipvs::add(const IpvsService& s, const IpvsDestination& d) const {
  Message m = request(IPVS_CMD_NEW_DEST, "add " + port_text(d.address, d.port) + " to IPVS service " + s.to_string());
  put_key(m, s);
  put_destination(m, d, true);
  return m;
}
Message Ipvs::set(const IpvsService& s, const IpvsDestination& d) const {
  Message m =
      request(IPVS_CMD_SET_DEST, "change " + port_text(d.address, d.port) + " of IPVS service " + s.to_string());
  put_key(m, s);
  put_destination(m, d, true);
  return m;
}
Message Ipvs::remove(const IpvsService& s, const IpvsDestination& d) const {
  Message m =
      request(IPVS_CMD_DEL_DEST, "delete " + port_text(d.address, d.port) + " from IPVS service " + s.to_string());
  put_key(m, s);
  put_destination(m, d, false);
  return m;
}
Message Ipvs::set_timeouts(uint32_t tcp, uint32_t tcp_fin, uint32_t udp) const {
  Message m = request(IPVS_CMD_SET_CONFIG, "set IPVS timeouts");
  m.put_u32(IPVS_CMD_ATTR_TIMEOUT_TCP, tcp);
  m.put_u32(IPVS_CMD_ATTR_TIMEOUT_TCP_FIN, tcp_fin);
  m.put_u32(IPVS_CMD_ATTR_TIMEOUT_UDP, udp);
  return m;
}

}  // namespace fairlead::kernel
