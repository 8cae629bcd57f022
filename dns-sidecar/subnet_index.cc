#include "dns-sidecar/subnet_index.h"

#include <sys/socket.h>

#include <algorithm>

namespace fairlead::dns {
namespace {

constexpr std::string_view kInAddrArpa{
    "\x07"
    "in-addr"
    "\x04"
    "arpa",
    13};
constexpr std::string_view kIp6Arpa{
    "\x03"
    "ip6"
    "\x04"
    "arpa",
    9};

// A decimal octet without leading zeros, or -1.
int octet(std::string_view label) {
  if (label.empty() || label.size() > 3 || (label[0] == '0' && label.size() > 1)) return -1;
  int value = 0;
  for (char c : label) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  return value <= 255 ? value : -1;
}

int nibble(std::string_view label) {
  if (label.size() != 1) return -1;
  char c = label[0];
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

std::optional<ReverseName> parse_reverse(const Name& name) {
  bool v4 = name.ends_with(kInAddrArpa, 2);
  if (!v4 && !name.ends_with(kIp6Arpa, 2)) return std::nullopt;
  const unsigned step = v4 ? 8 : 4, all = v4 ? 32 : 128;
  ReverseName reverse;
  uint8_t bytes[16] = {};
  unsigned left = name.labels - 2;
  for (; left > 0 && reverse.bits < all; left--, reverse.bits += step) {
    auto label = name.view().substr(name.offset[left - 1] + 1, name.bytes[name.offset[left - 1]]);
    int value = v4 ? octet(label) : nibble(label);
    if (value < 0) break;
    unsigned shift = v4 || reverse.bits % 8 ? 0 : 4;
    bytes[reverse.bits / 8] = static_cast<uint8_t>(bytes[reverse.bits / 8] | value << shift);
  }
  reverse.odd = left > 0;
  reverse.exact = left == 0 && reverse.bits == all;
  reverse.address = Address::from_bytes(v4 ? AF_INET : AF_INET6, bytes);
  return reverse;
}

SubnetIndex::SubnetIndex(const std::vector<Prefix>& subnets) {
  for (const auto& s : subnets) {
    subnets_.insert(Prefix{s.first(), s.length});
    auto& lengths = s.family() == AF_INET ? lengths4_ : lengths6_;
    if (std::find(lengths.begin(), lengths.end(), s.length) == lengths.end()) lengths.push_back(s.length);
  }
  std::sort(lengths4_.begin(), lengths4_.end());
  std::sort(lengths6_.begin(), lengths6_.end());
}

std::optional<Prefix> SubnetIndex::find(const ReverseName& name) const {
  for (unsigned length : name.address.is_v4() ? lengths4_ : lengths6_) {
    if (length > name.bits) break;
    Prefix candidate{Prefix{name.address, length}.first(), length};
    if (subnets_.count(candidate)) return candidate;
  }
  return std::nullopt;
}

unsigned reverse_zone_labels(const Prefix& subnet) {
  unsigned step = subnet.address.is_v4() ? 8 : 4;
  return 2 + (subnet.length + step - 1) / step;
}

}  // namespace fairlead::dns
