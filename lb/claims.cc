#include "lb/claims.h"

#include <string_view>

namespace fairlead::lb {
namespace {

constexpr uint16_t kInnerFirst = 40000, kInnerCount = 20000;

uint64_t fnv1a(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (unsigned char c : text) hash = (hash ^ c) * 0x100000001b3;
  return hash;
}

}  // namespace

std::string PortClaims::holder(const HostPortKey& key) const {
  auto holders = taken_.find({key.family, key.protocol, key.port});
  if (holders == taken_.end()) return "";
  for (const auto& [address, owner] : holders->second)
    if (!address || !key.host_ip || address == key.host_ip) return owner;
  return "";
}

void PortClaims::take(const HostPortKey& key, const std::string& owner) {
  taken_[{key.family, key.protocol, key.port}].emplace_back(key.host_ip, owner);
}

uint16_t inner_port(const HostPortKey& key, const std::map<FrontendKey, Frontend>& taken, const Address& router) {
  auto start = static_cast<uint16_t>(fnv1a(key.to_string()) % kInnerCount);
  for (uint16_t i = 0; i < kInnerCount; i++) {
    auto port = static_cast<uint16_t>(kInnerFirst + (start + i) % kInnerCount);
    if (!taken.count({router, key.protocol, port})) return port;
  }
  return 0;
}

}  // namespace fairlead::lb
