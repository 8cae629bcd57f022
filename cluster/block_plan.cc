#include "cluster/block_plan.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace fairlead::cluster {
namespace {

constexpr int kSiblings = 8;

// The lower or the upper half; not of a single address.
Prefix half(const Prefix& whole, bool upper) {
  std::array<uint8_t, 16> bytes{};
  const Address first = whole.first();
  memcpy(bytes.data(), first.bytes(), first.size());
  if (upper) bytes[whole.length / 8] |= static_cast<uint8_t>(0x80 >> (whole.length % 8));
  return Prefix{Address::from_bytes(whole.family(), bytes.data()), whole.length + 1};
}

Prefix around(const Address& address, unsigned length) {
  Prefix prefix{address, length};
  prefix.address = prefix.first();
  return prefix;
}

int64_t size_of(const Prefix& prefix) {
  return prefix.host_bits() >= 62 ? int64_t{1} << 62 : int64_t{1} << prefix.host_bits();
}

bool usable(const Prefix& prefix, const std::vector<Address>& never) {
  auto lost = std::count_if(never.begin(), never.end(), [&](const Address& a) { return prefix.contains(a); });
  return lost < size_of(prefix);
}

// The first usable one of that length in a prefix that is free.
std::optional<Prefix> first_of(const Prefix& free, unsigned length, const std::vector<Address>& never) {
  Prefix candidate = around(free.first(), length);
  for (int i = 0; i < kSiblings && free.contains(candidate); i++) {
    if (usable(candidate, never)) return candidate;
    const Address last = candidate.last();
    if (last == free.last()) break;
    candidate = around(last.plus(1), length);
  }
  return std::nullopt;
}

std::optional<Prefix> find_free(const Prefix& part, unsigned length, const std::vector<Prefix>& taken,
                                const std::vector<Address>& never) {
  if (taken.empty()) return first_of(part, length, never);
  if (part.length >= length) return std::nullopt;
  for (bool upper : {false, true}) {
    const Prefix below = half(part, upper);
    std::vector<Prefix> here;
    bool full = false;
    for (const auto& t : taken) {
      full = full || t.contains(below);
      if (t.overlaps(below)) here.push_back(t);
    }
    if (full) continue;
    if (auto found = find_free(below, length, here, never)) return found;
  }
  return std::nullopt;
}

std::vector<Prefix> with_pool(const Prefix& subnet, std::vector<Prefix> taken) {
  std::erase_if(taken, [&](const Prefix& t) { return !t.overlaps(subnet); });
  if (auto pool = vip_pool_of(subnet)) taken.push_back(*pool);
  return taken;
}

bool free_of(const Prefix& part, const std::vector<Prefix>& taken) {
  return std::none_of(taken.begin(), taken.end(), [&](const Prefix& t) { return t.overlaps(part); });
}

std::optional<Prefix> unused_in(const Prefix& part, const std::vector<Address>& used, const std::vector<Address>& never,
                                int64_t most) {
  if (!usable(part, never)) return std::nullopt;
  if (used.empty()) {
    unsigned length = part.length;
    while (size_of(Prefix{part.address, length}) > most && length < part.address.bits()) length++;
    return first_of(part, length, never);
  }
  if (part.host_bits() == 0) return std::nullopt;
  std::optional<Prefix> best;
  for (bool upper : {true, false}) {
    const Prefix below = half(part, upper);
    std::vector<Address> here;
    for (const auto& a : used)
      if (below.contains(a)) here.push_back(a);
    auto found = unused_in(below, here, never, most);
    if (found && (!best || found->length < best->length)) best = found;
  }
  return best;
}

}  // namespace

std::vector<Address> never_given(const Prefix& subnet) {
  std::vector<Address> never{subnet.first(), subnet.first().plus(1)};
  if (subnet.family() == AF_INET) never.push_back(subnet.last());
  return never;
}

std::optional<Prefix> choose_block(const Network& network, const Prefix& subnet, const std::vector<Prefix>& taken) {
  const auto all = with_pool(subnet, taken);
  const auto never = never_given(subnet);
  for (unsigned length = block_length(network, subnet); length <= subnet.address.bits(); length++)
    if (auto found = find_free(subnet, length, all, never)) return found;
  return std::nullopt;
}

std::optional<Prefix> block_around(const Network& network, const Address& address, const std::vector<Prefix>& taken) {
  const Prefix* subnet = network.subnet(address.family());
  if (!subnet || !subnet->contains(address)) return std::nullopt;
  const auto all = with_pool(*subnet, taken);
  for (unsigned length = block_length(network, *subnet); length <= address.bits(); length++)
    if (Prefix part = around(address, length); free_of(part, all)) {
      if (!usable(part, never_given(*subnet))) return std::nullopt;
      return part;
    }
  return std::nullopt;
}

std::vector<Prefix> without(const std::vector<Prefix>& blocks, const Prefix& hole) {
  std::vector<Prefix> left;
  for (const auto& block : blocks) {
    if (!block.overlaps(hole)) left.push_back(block);
    if (hole.contains(block) || !block.overlaps(hole)) continue;
    for (Prefix part = block; part != hole;) {
      const bool upper = half(part, true).contains(hole);
      left.push_back(half(part, !upper));
      part = half(part, upper);
    }
  }
  return left;
}

std::vector<Prefix> joined(const Network& network, std::vector<Prefix> blocks) {
  for (size_t i = 0; i < blocks.size();) {
    const Prefix* subnet = network.subnet(blocks[i].family());
    const unsigned length = blocks[i].length;
    auto sibling = blocks.end();
    Prefix whole;
    if (subnet && length > block_length(network, *subnet)) {
      whole = around(blocks[i].address, length - 1);
      sibling = std::find_if(blocks.begin() + static_cast<ptrdiff_t>(i) + 1, blocks.end(),
                             [&](const Prefix& b) { return b.length == length && whole.contains(b); });
    }
    if (sibling == blocks.end()) {
      i++;
      continue;
    }
    blocks.erase(sibling);
    blocks[i] = whole;
    i = 0;
  }
  return blocks;
}

bool covers(const std::vector<Prefix>& blocks, const Prefix& prefix) {
  for (const auto& block : blocks)
    if (block.contains(prefix)) return true;
  if (prefix.host_bits() == 0 || free_of(prefix, blocks)) return false;
  return covers(blocks, half(prefix, false)) && covers(blocks, half(prefix, true));
}

std::optional<Prefix> unused_part(const std::vector<Prefix>& blocks, const Prefix& subnet,
                                  const std::vector<Address>& used, int64_t most) {
  const auto never = never_given(subnet);
  std::optional<Prefix> best;
  for (auto block = blocks.rbegin(); block != blocks.rend(); ++block) {
    if (!subnet.contains(*block)) continue;
    std::vector<Address> here;
    for (const auto& a : used)
      if (block->contains(a)) here.push_back(a);
    auto found = unused_in(*block, here, never, most);
    if (found && (!best || found->length < best->length)) best = found;
  }
  return best;
}

}  // namespace fairlead::cluster
