#include "overlay/names.h"

#include <sys/socket.h>

#include <cstdio>

namespace fairlead::overlay {
namespace {

std::string hex(uint64_t value, int digits) {
  char text[17];
  snprintf(text, sizeof text, "%0*llx", digits, static_cast<unsigned long long>(value));
  return text;
}

// FNV-1a, 64 bit, with a separator that no name may contain.
uint64_t hash(std::initializer_list<std::string_view> parts) {
  uint64_t h = 14695981039346656037ull;
  for (auto part : parts) {
    for (unsigned char c : part) h = (h ^ c) * 1099511628211ull;
    h = (h ^ '/') * 1099511628211ull;
  }
  // FNV's high bits are weak for short inputs; the name keeps 56 bits of a finalised value (murmur3 fmix64).
  h ^= h >> 33;
  h *= 0xff51afd7ed558ccdull;
  h ^= h >> 33;
  h *= 0xc4ceb9fe1a85ec53ull;
  return h ^ (h >> 33);
}

}  // namespace

std::string router_netns_name(uint32_t vni) { return "fl-" + hex(vni, 1); }
std::string uplink_name(uint32_t vni) { return "ul" + hex(vni, 1); }

std::string host_ifname(std::string_view network, std::string_view container, std::string_view ifname) {
  return "c" + hex(hash({network, container, ifname}) >> 8, 14);
}

Router make_router(const Network& network, uint32_t index, uint32_t mtu) {
  Router r;
  r.network = network.name;
  r.vni = network.vni;
  r.netns = router_netns_name(network.vni);
  r.index = index;
  r.uplink = uplink_name(network.vni);
  r.host4 = Address::v4((169u << 24 | 254u << 16 | 64u << 8) + index * 2);
  r.router4 = r.host4.plus(1);
  // fd57:64:<index>::1 and ::2
  uint8_t bytes[16] = {0xfd, 0x57, 0x00, 0x64, static_cast<uint8_t>(index >> 8), static_cast<uint8_t>(index)};
  r.host6 = Address::from_bytes(AF_INET6, bytes).plus(1);
  r.router6 = r.host6.plus(1);
  r.mtu = mtu;
  return r;
}

}  // namespace fairlead::overlay
