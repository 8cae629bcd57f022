#include "state/paths.h"

#include <cstdint>
#include <cstdlib>

namespace fairlead {
namespace {

uint64_t fnv1a(std::string_view text, uint64_t seed) {
  uint64_t h = 14695981039346656037ull ^ seed;
  for (unsigned char c : text) h = (h ^ c) * 1099511628211ull;
  return h;
}

std::string hex(uint64_t value) {
  static const char digit[] = "0123456789abcdef";
  std::string text(16, '0');
  for (int i = 15; i >= 0; i--, value >>= 4) text[static_cast<size_t>(i)] = digit[value & 15];
  return text;
}

}  // namespace

Paths Paths::from_environment() {
  Paths paths;
  // Empty is absent, as for every CNI variable.
  if (const char* dir = getenv("FAIRLEAD_STATE_DIR"); dir && *dir) paths.state = dir;
  if (const char* dir = getenv("FAIRLEAD_RUN_DIR"); dir && *dir) paths.run = dir;
  return paths;
}

std::string Paths::endpoint(std::string_view network, std::string_view container, std::string_view ifname) const {
  return endpoints(network) + "/" + attachment_key(container, ifname) + ".json";
}

std::string attachment_key(std::string_view container, std::string_view ifname) {
  // 255 bytes is NAME_MAX; leave room for ".json" and temporary suffixes.
  if (container.size() <= 128) return std::string(container) + "-" + std::string(ifname);
  return std::string(container.substr(0, 64)) + "." + hex(fnv1a(container, 0)) + hex(fnv1a(container, 0x9e3779b9)) +
         "-" + std::string(ifname);
}

std::string attachment_lock_key(std::string_view network, std::string_view container, std::string_view ifname) {
  return std::string(network) + "/" + std::string(container) + "@" + std::string(ifname);
}

}  // namespace fairlead
