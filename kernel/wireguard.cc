#include "kernel/wireguard.h"

#include <arpa/inet.h>
#include <linux/genetlink.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/time_types.h>
#include <linux/wireguard.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace fairlead::kernel {
namespace {

constexpr const char* kKind = "wireguard";
// With every attribute below and two allowed prefixes a peer takes about 180 bytes; a request holds 1,000.
constexpr size_t kPeersPerRequest = 4;

void put_endpoint(Message& m, const Address& address, uint16_t port) {
  if (address.is_v4()) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    memcpy(&to.sin_addr, address.bytes(), address.size());
    m.put(WGPEER_A_ENDPOINT, &to, sizeof to);
  } else {
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(port);
    memcpy(&to.sin6_addr, address.bytes(), address.size());
    m.put(WGPEER_A_ENDPOINT, &to, sizeof to);
  }
}

void read_endpoint(std::string_view bytes, WireguardPeer& peer) {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (bytes.size() == sizeof v4) {
    memcpy(&v4, bytes.data(), sizeof v4);
    peer.endpoint = Address::from_bytes(AF_INET, &v4.sin_addr);
    peer.port = ntohs(v4.sin_port);
  } else if (bytes.size() == sizeof v6) {
    memcpy(&v6, bytes.data(), sizeof v6);
    peer.endpoint = Address::from_bytes(AF_INET6, &v6.sin6_addr);
    peer.port = ntohs(v6.sin6_port);
  }
}

void put_allowed(Message& m, const std::vector<Prefix>& prefixes) {
  m.nest(WGPEER_A_ALLOWEDIPS | NLA_F_NESTED, [&](Message& list) {
    for (const auto& prefix : prefixes)
      list.nest(NLA_F_NESTED, [&](Message& entry) {
        entry.put_u16(WGALLOWEDIP_A_FAMILY, static_cast<uint16_t>(prefix.family()));
        entry.put(WGALLOWEDIP_A_IPADDR, prefix.address.bytes(), prefix.address.size());
        entry.put_u8(WGALLOWEDIP_A_CIDR_MASK, static_cast<uint8_t>(prefix.length));
      });
  });
}

void read_allowed(const Attributes& list, WireguardPeer& peer) {
  list.each([&](uint16_t, std::string_view entry) {
    const Attributes a(entry.data(), entry.size());
    const int family = a.u16(WGALLOWEDIP_A_FAMILY);
    const auto address = a.bytes(WGALLOWEDIP_A_IPADDR);
    if ((family == AF_INET && address.size() == 4) || (family == AF_INET6 && address.size() == 16))
      peer.allowed.push_back({Address::from_bytes(family, address.data()), a.u8(WGALLOWEDIP_A_CIDR_MASK)});
  });
}

bool read_key(std::string_view bytes, WireguardKey& key) {
  if (bytes.size() != key.size()) return false;
  memcpy(key.data(), bytes.data(), key.size());
  return true;
}

void read_peer(const Attributes& a, WireguardDevice& device) {
  WireguardPeer peer;
  if (!read_key(a.bytes(WGPEER_A_PUBLIC_KEY), peer.key)) return;
  // A peer whose prefixes do not fit into one message goes on in the next, with its key again.
  if (!device.peers.empty() && device.peers.back().key == peer.key)
    return read_allowed(a.nested(WGPEER_A_ALLOWEDIPS), device.peers.back());
  read_endpoint(a.bytes(WGPEER_A_ENDPOINT), peer);
  read_allowed(a.nested(WGPEER_A_ALLOWEDIPS), peer);
  device.peers.push_back(std::move(peer));
  WireguardDevice::Session session{a.u64(WGPEER_A_RX_BYTES), a.u64(WGPEER_A_TX_BYTES), 0};
  __kernel_timespec at{};
  if (auto time = a.bytes(WGPEER_A_LAST_HANDSHAKE_TIME); time.size() == sizeof at) {
    memcpy(&at, time.data(), sizeof at);
    session.handshake = at.tv_sec;
  }
  device.sessions.push_back(session);
}

}  // namespace

Message add_wireguard(const std::string& name, uint32_t mtu) {
  Message m(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "make WireGuard device " + name);
  m.header(ifinfomsg{});
  m.put_string(IFLA_IFNAME, name).put_u32(IFLA_MTU, mtu);
  m.nest(IFLA_LINKINFO, [&](Message& info) { info.put_string(IFLA_INFO_KIND, kKind); });
  return m;
}

Result<std::optional<Wireguard>> Wireguard::open() {
  FL_TRY(auto socket, NetlinkSocket::open(NETLINK_GENERIC));
  Message m(GENL_ID_CTRL, 0, "find netlink family " WG_GENL_NAME);
  m.header(genlmsghdr{CTRL_CMD_GETFAMILY, 1, 0});
  m.put_string(CTRL_ATTR_FAMILY_NAME, WG_GENL_NAME);
  uint16_t family = 0;
  // The kernel loads the module for this question (net/netlink/genetlink.c).
  auto found = socket.query(std::move(m), [&](const nlmsghdr& message) {
    family = Attributes(message, sizeof(genlmsghdr)).u16(CTRL_ATTR_FAMILY_ID);
  });
  if (!found && found.error().sys == ENOENT) return std::nullopt;
  FL_CHECK(found);
  return std::optional<Wireguard>(Wireguard(std::make_unique<NetlinkSocket>(std::move(socket)), family));
}

Message Wireguard::request(uint8_t command, const std::string& name, std::string what) const {
  Message m(family_, 0, std::move(what));
  m.header(genlmsghdr{command, WG_GENL_VERSION, 0});
  m.put_string(WGDEVICE_A_IFNAME, name);
  return m;
}

Result<std::optional<WireguardDevice>> Wireguard::find(const std::string& name) {
  WireguardDevice device;
  auto found = socket_->dump(
      request(WG_CMD_GET_DEVICE, name, "look at WireGuard device " + name),
      [&](const nlmsghdr& message) {
        const Attributes a(message, sizeof(genlmsghdr));
        // Only the first message tells of the device itself.
        if (a.has(WGDEVICE_A_IFINDEX)) device.index = a.u32(WGDEVICE_A_IFINDEX);
        if (a.has(WGDEVICE_A_LISTEN_PORT)) device.port = a.u16(WGDEVICE_A_LISTEN_PORT);
        read_key(a.bytes(WGDEVICE_A_PUBLIC_KEY), device.key);
        a.nested(WGDEVICE_A_PEERS).each([&](uint16_t, std::string_view peer) {
          read_peer(Attributes(peer.data(), peer.size()), device);
        });
      },
      [&] { device = {}; });
  if (!found && (found.error().sys == ENODEV || found.error().sys == EOPNOTSUPP)) return std::nullopt;
  FL_CHECK(found);
  for (auto& peer : device.peers) std::sort(peer.allowed.begin(), peer.allowed.end());
  return std::optional<WireguardDevice>(std::move(device));
}

Message Wireguard::set_device(const std::string& name, const Secret& private_key, uint16_t port) const {
  Message m = request(WG_CMD_SET_DEVICE, name, "set key and port " + std::to_string(port) + " of " + name);
  m.secret();
  m.put(WGDEVICE_A_PRIVATE_KEY, private_key.data(), private_key.size());
  m.put_u16(WGDEVICE_A_LISTEN_PORT, port);
  return m;
}

Batch Wireguard::set_peers(const std::string& name, const std::vector<WireguardPeer>& peers) const {
  Batch batch;
  for (size_t begin = 0; begin < peers.size(); begin += kPeersPerRequest) {
    Message m = request(WG_CMD_SET_DEVICE, name, "set peers of " + name);
    m.nest(WGDEVICE_A_PEERS | NLA_F_NESTED, [&](Message& list) {
      for (size_t i = begin; i < std::min(peers.size(), begin + kPeersPerRequest); i++)
        list.nest(NLA_F_NESTED, [&](Message& peer) {
          peer.put(WGPEER_A_PUBLIC_KEY, peers[i].key.data(), peers[i].key.size());
          peer.put_u32(WGPEER_A_FLAGS, WGPEER_F_REPLACE_ALLOWEDIPS);
          put_endpoint(peer, peers[i].endpoint, peers[i].port);
          put_allowed(peer, peers[i].allowed);
        });
    });
    batch.push_back(std::move(m));
  }
  return batch;
}

Batch Wireguard::remove_peers(const std::string& name, const std::vector<WireguardKey>& keys) const {
  Batch batch;
  for (const auto& key : keys) {
    Message m = request(WG_CMD_SET_DEVICE, name, "remove a peer of " + name);
    m.nest(WGDEVICE_A_PEERS | NLA_F_NESTED, [&](Message& list) {
      list.nest(NLA_F_NESTED, [&](Message& peer) {
        peer.put(WGPEER_A_PUBLIC_KEY, key.data(), key.size());
        peer.put_u32(WGPEER_A_FLAGS, WGPEER_F_REMOVE_ME);
      });
    });
    batch.push_back(std::move(m));
  }
  return batch;
}

}  // namespace fairlead::kernel
