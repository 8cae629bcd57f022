#include "dns-sidecar/lookup.h"

namespace fairlead::dns {
namespace {

const NameNode* find(const Zone& zone, std::string_view relative) {
  return zone.names.find(hash_bytes(relative), relative);
}
const NameNode* find_claimed(const Zone& zone, std::string_view relative) {
  const NameNode* node = find(zone, relative);
  return node && !node->empty ? node : nullptr;
}

// The labels of `name` before the network's suffix and `behind` more labels; 0 when it does not end so.
unsigned labels_before_suffix(const Name& name, const Zone& zone, unsigned behind) {
  unsigned own = name.labels - behind;
  if (zone.suffix.empty() || own <= zone.suffix_labels) return 0;
  std::string_view rest = name.head(own);
  unsigned cut = own - zone.suffix_labels;
  return rest.substr(name.offset[cut]) == zone.suffix ? cut : 0;
}

Lookup local_domain(const Snapshot& snapshot, const AddressNode& asker, const Name& name) {
  Lookup result;
  const unsigned own = name.labels - kDomainLabels;
  result.soa_label = own;
  if (own == 0) {
    result.found = Found::kApex;
    return result;
  }
  const std::string_view rest = name.head(own);
  bool exists = false;
  for (uint32_t slot : asker.networks) {
    const Zone* zone = snapshot.zone(slot);
    if (!zone) continue;
    if (unsigned cut = labels_before_suffix(name, *zone, kDomainLabels)) {
      if (const NameNode* node = find(*zone, name.head(cut))) {
        exists = true;
        if (node->empty) continue;
        result.found = Found::kName;
        result.node = node;
        result.zone = zone;
        return result;
      }
    }
    // The network itself, and the parents of a network whose name has dots.
    if (zone->suffix.size() >= rest.size() &&
        zone->suffix.compare(zone->suffix.size() - rest.size(), rest.size(), rest) == 0 && own <= zone->suffix_labels)
      exists = true;
  }
  if (rest == std::string_view("\x02ns", 3)) {
    result.found = Found::kNameServer;
    return result;
  }
  result.found = exists ? Found::kNoData : Found::kNoName;
  return result;
}

// RFC 6761 sections 6.3 and 6.4, RFC 7686, RFC 9476.
bool special(const Name& name, Lookup& result) {
  if (name.labels == 0) return false;
  std::string_view last = name.tail(name.labels - 1u).substr(1);
  result.soa_label = name.labels - 1u;
  if (last == "localhost")
    result.found = Found::kLocalhost;
  else if (last == "invalid" || last == "onion" || last == "alt")
    result.found = Found::kNoName;
  else
    return false;
  return true;
}

bool reverse(const Snapshot& snapshot, const AddressNode& asker, const Name& name, Lookup& result) {
  auto parsed = parse_reverse(name);
  if (!parsed) return false;
  auto subnet = snapshot.subnets->find(*parsed);
  if (!subnet) {
    result.found = Found::kForeign;
    return true;
  }
  result.soa_label = name.labels - reverse_zone_labels(*subnet);
  result.found = parsed->odd || parsed->exact ? Found::kNoName : Found::kNoData;
  if (!parsed->exact) return true;
  std::string_view key(reinterpret_cast<const char*>(parsed->address.bytes()), parsed->address.size());
  const uint64_t hash = hash_bytes(key);
  for (uint32_t slot : asker.networks) {
    const Zone* zone = snapshot.zone(slot);
    const AddressNode* address = zone ? zone->addresses.find(hash, key) : nullptr;
    if (!address || !current_name(*zone, *address)) continue;
    result.found = Found::kAddress;
    result.address = address;
    result.zone = zone;
    return true;
  }
  return true;
}

bool bare(const Snapshot& snapshot, const AddressNode& asker, const Name& name, Lookup& result) {
  for (uint32_t slot : asker.networks) {
    const Zone* zone = snapshot.zone(slot);
    if (!zone) continue;
    result.node = find_claimed(*zone, name.view());
    if (unsigned cut = result.node ? 0 : labels_before_suffix(name, *zone, 0))
      result.node = find_claimed(*zone, name.head(cut));
    if (!result.node) continue;
    result.found = Found::kName;
    result.zone = zone;
    return true;
  }
  return false;
}

// Names below one of ours ("_x._tcp.web", "a.web.appnet") are ours, too: the resolvers need not know that web exists.
// A bare one-label name owns only what is below it with underscores, or an alias "com" would hide the Internet.
bool below_ours(const Snapshot& snapshot, const AddressNode& asker, const Name& name, Lookup& result) {
  for (uint32_t slot : asker.networks) {
    const Zone* zone = snapshot.zone(slot);
    if (!zone) continue;
    unsigned cut = labels_before_suffix(name, *zone, 0);
    for (unsigned first = 1; first < cut; first++) {
      std::string_view ancestor = name.head(cut).substr(name.offset[first]);
      if (!find_claimed(*zone, ancestor)) continue;
      const NameNode* itself = find(*zone, name.head(cut));
      result.found = itself ? Found::kNoData : Found::kNoName;
      result.soa_label = first;
      return true;
    }
    unsigned first = 0;
    while (first < name.labels && name.bytes[name.offset[first]] > 0 && name.bytes[name.offset[first] + 1] == '_')
      first++;
    if (first == 0 || first == name.labels || !find_claimed(*zone, name.tail(first))) continue;
    result.found = find(*zone, name.view()) ? Found::kNoData : Found::kNoName;
    result.soa_label = first;
    return true;
  }
  return false;
}

}  // namespace

Lookup look_up(const Snapshot& snapshot, const AddressNode& asker, const Name& name) {
  if (name.ends_with(kDomainWire, kDomainLabels)) return local_domain(snapshot, asker, name);
  Lookup result;
  if (special(name, result) || reverse(snapshot, asker, name, result)) return result;
  result.soa_label = 0;
  if (bare(snapshot, asker, name, result) || below_ours(snapshot, asker, name, result)) return result;
  result.found = Found::kForeign;
  return result;
}

const NameNode* current_name(const Zone& zone, const AddressNode& address) {
  for (const auto& candidate : address.names) {
    const NameNode* node = find_claimed(zone, candidate.name);
    if (node && node->rank == candidate.rank) return node;
  }
  return nullptr;
}

}  // namespace fairlead::dns
