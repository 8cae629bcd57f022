#include "dns-sidecar/name_index.h"

#include <algorithm>

#include "dns-sidecar/wire.h"

namespace fairlead::dns {

void NameIndex::set(const std::string& owner, std::vector<Claim> claims) {
  remove(owner);
  if (claims.empty()) return;
  auto& owned = owned_[owner];
  for (auto& claim : claims) {
    Entry& entry = entries_[claim.name];
    bool first = entry.claims.empty();
    entry.claims.push_back({owner, claim.rank, std::move(claim.addresses), std::move(claim.srv)});
    if (first) count_parents(claim.name, 1);
    touched_.insert(claim.name);
    owned.push_back(std::move(claim.name));
  }
}

void NameIndex::remove(const std::string& owner) {
  auto it = owned_.find(owner);
  if (it == owned_.end()) return;
  for (const auto& name : it->second) {
    auto& claims = entries_[name].claims;
    claims.erase(std::remove_if(claims.begin(), claims.end(), [&](const Claimed& c) { return c.owner == owner; }),
                 claims.end());
    touched_.insert(name);
    if (claims.empty()) count_parents(name, -1);
  }
  owned_.erase(it);
}

void NameIndex::count_parents(const std::string& name, int change) {
  std::string_view rest(name);
  for (;;) {
    rest.remove_prefix(static_cast<uint8_t>(rest[0]) + size_t{1});
    if (rest.empty()) return;
    std::string parent(rest);
    Entry& entry = entries_[parent];
    entry.children = static_cast<uint32_t>(static_cast<int>(entry.children) + change);
    touched_.insert(std::move(parent));
  }
}

Table<NameNode>::Record NameIndex::make_node(const std::string& name, const Entry& entry) {
  auto node = std::make_shared<NameNode>();
  node->key = name;
  node->hash = hash_bytes(name);
  node->empty = entry.claims.empty();
  for (const auto& claim : entry.claims) node->rank = std::min(node->rank, claim.rank);
  std::vector<Address> addresses;
  for (const auto& claim : entry.claims) {
    if (claim.rank != node->rank) continue;
    if (claim.addresses) addresses.insert(addresses.end(), claim.addresses->begin(), claim.addresses->end());
    node->srv.insert(node->srv.end(), claim.srv.begin(), claim.srv.end());
  }
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  for (const auto& a : addresses) append_address_record(a.is_v4() ? node->a : node->aaaa, a);
  return node;
}

const Table<NameNode>& NameIndex::table() {
  std::vector<Table<NameNode>::Change> changes;
  changes.reserve(touched_.size());
  for (const auto& name : touched_) {
    auto it = entries_.find(name);
    if (it == entries_.end()) continue;
    Table<NameNode>::Change change{hash_bytes(name), name, nullptr};
    if (it->second.claims.empty() && it->second.children == 0)
      entries_.erase(it);
    else
      change.record = make_node(name, it->second);
    changes.push_back(std::move(change));
  }
  touched_.clear();
  if (!changes.empty()) table_ = table_.with(std::move(changes));
  return table_;
}

}  // namespace fairlead::dns
