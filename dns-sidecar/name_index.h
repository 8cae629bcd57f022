// All claims on names of one network, and the table of answers made from them. Cost of a change: what it touches.
// Threads: one (the builder's); the tables it gives out are immutable.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "dns-sidecar/claims.h"
#include "dns-sidecar/zone.h"

namespace fairlead::dns {

class NameIndex {
 public:
  // Replaces everything owner claimed before; an empty list takes it away. owner is any unique text.
  void set(const std::string& owner, std::vector<Claim> claims);
  // The table after all changes so far.
  const Table<NameNode>& table();

 private:
  struct Claimed {
    std::string owner;
    Rank rank;
    Addresses addresses;
    std::vector<SrvRecord> srv;
  };
  struct Entry {
    std::vector<Claimed> claims;
    uint32_t children = 0;  // names below this one
  };

  void remove(const std::string& owner);
  void count_parents(const std::string& name, int change);
  static Table<NameNode>::Record make_node(const std::string& name, const Entry& entry);

  std::unordered_map<std::string, Entry> entries_;
  std::unordered_map<std::string, std::vector<std::string>> owned_;
  std::unordered_set<std::string> touched_;
  Table<NameNode> table_;
};

}  // namespace fairlead::dns
