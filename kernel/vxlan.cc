#include "kernel/vxlan.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace fairlead::kernel {
namespace {

constexpr const char* kKind = "vxlan";

Message forwarding_message(uint16_t type, uint16_t flags, uint32_t index, const Forwarding& entry, const char* verb) {
  Message m(type, flags,
            std::string(verb) + " forwarding entry " + entry.mac.to_string() + " to " + entry.to.to_string());
  ndmsg header{};
  header.ndm_family = AF_BRIDGE;
  header.ndm_ifindex = static_cast<int>(index);
  header.ndm_state = NUD_PERMANENT | NUD_NOARP;
  header.ndm_flags = NTF_SELF;
  m.header(header);
  m.put(NDA_LLADDR, entry.mac.bytes.data(), entry.mac.bytes.size());
  m.put(NDA_DST, entry.to.bytes(), entry.to.size());
  return m;
}

std::optional<Address> address_of(std::string_view bytes) {
  if (bytes.size() == 4) return Address::from_bytes(AF_INET, bytes.data());
  if (bytes.size() == 16) return Address::from_bytes(AF_INET6, bytes.data());
  return std::nullopt;
}

}  // namespace

Message add_vxlan(const VxlanSpec& s) {
  Message m(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
            "make VXLAN device " + s.name + " for VNI " + std::to_string(s.vni));
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(s.index);
  m.header(header);
  m.put_string(IFLA_IFNAME, s.name).put_u32(IFLA_MTU, s.mtu);
  m.put(IFLA_ADDRESS, s.mac.bytes.data(), s.mac.bytes.size());
  if (s.netns >= 0) m.put_u32(IFLA_NET_NS_FD, static_cast<uint32_t>(s.netns));
  m.nest(IFLA_LINKINFO, [&](Message& info) {
    info.put_string(IFLA_INFO_KIND, kKind);
    info.nest(IFLA_INFO_DATA, [&](Message& data) {
      data.put_u32(IFLA_VXLAN_ID, s.vni).put_u8(IFLA_VXLAN_LEARNING, 0).put_u16(IFLA_VXLAN_PORT, htons(s.port));
      data.put(s.local.is_v4() ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6, s.local.bytes(), s.local.size());
      // As the packet inside has it (drivers/net/vxlan/vxlan_core.c, vxlan_xmit_one): a narrower underlay then tells,
      // and the sender is told, where otherwise every packet would be cut in two.
      data.put_u8(IFLA_VXLAN_DF, VXLAN_DF_INHERIT);
    });
  });
  return m;
}

Result<std::optional<Vxlan>> find_vxlan(NetlinkSocket& socket, const std::string& name) {
  FL_TRY(auto link, find_link(socket, name));
  if (!link || link->kind != kKind) return std::nullopt;
  Vxlan v;
  v.link = *link;
  Message m(RTM_GETLINK, 0, "look up VXLAN device " + name);
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(link->index);
  m.header(header);
  auto found = socket.query(std::move(m), [&](const nlmsghdr& message) {
    if (message.nlmsg_type != RTM_NEWLINK) return;
    Attributes data = Attributes(message, sizeof(ifinfomsg)).nested(IFLA_LINKINFO).nested(IFLA_INFO_DATA);
    v.vni = data.u32(IFLA_VXLAN_ID);
    v.port = ntohs(data.u16(IFLA_VXLAN_PORT));
    v.learning = data.u8(IFLA_VXLAN_LEARNING) != 0;
    auto local = address_of(data.bytes(data.has(IFLA_VXLAN_LOCAL6) ? IFLA_VXLAN_LOCAL6 : IFLA_VXLAN_LOCAL));
    if (local) v.local = *local;
  });
  if (!found && found.error().sys == ENODEV) return std::nullopt;
  FL_CHECK(found);
  return std::optional<Vxlan>(v);
}

Message set_forwarding(uint32_t index, const Forwarding& entry) {
  return forwarding_message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, index, entry, "set");
}

Message delete_forwarding(uint32_t index, const Forwarding& entry) {
  Message m = forwarding_message(RTM_DELNEIGH, 0, index, entry, "delete");
  m.tolerate({ENOENT, ENODEV});
  return m;
}

Result<std::vector<Forwarding>> dump_forwarding(NetlinkSocket& socket, uint32_t index) {
  std::vector<Forwarding> entries;
  Message m(RTM_GETNEIGH, 0, "list forwarding entries");
  ndmsg header{};
  header.ndm_family = AF_BRIDGE;
  // Here the device's number belongs into the header (valid_fdb_dump_strict, net/core/rtnetlink.c).
  header.ndm_ifindex = static_cast<int>(index);
  m.header(header);
  FL_CHECK(socket.dump(
      std::move(m),
      [&](const nlmsghdr& message) {
        const auto* entry = static_cast<const ndmsg*>(NLMSG_DATA(&message));
        if (message.nlmsg_type != RTM_NEWNEIGH || static_cast<uint32_t>(entry->ndm_ifindex) != index) return;
        Attributes a(message, sizeof *entry);
        auto to = address_of(a.bytes(NDA_DST));
        std::string_view mac = a.bytes(NDA_LLADDR);
        if (!to || mac.size() != 6) return;
        Forwarding f;
        memcpy(f.mac.bytes.data(), mac.data(), mac.size());
        f.to = *to;
        entries.push_back(f);
      },
      [&] { entries.clear(); }));
  return entries;
}

}  // namespace fairlead::kernel
