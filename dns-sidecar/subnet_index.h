// Which reverse names are ours: the subnets of every network on this node, found by length, not by a walk.
// Threads: immutable once built.
#pragma once

#include <optional>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/ip.h"
#include "dns-sidecar/wire.h"

namespace fairlead::dns {

// "4.3.2.1.in-addr.arpa" or nibbles under ip6.arpa, as far as it can be read from the right.
struct ReverseName {
  Address address;     // what is not known is zero
  unsigned bits = 0;   // known from the left
  bool exact = false;  // a whole address and nothing else
  bool odd = false;    // there are labels that are not part of an address
};
// nullopt when the name is not under in-addr.arpa or ip6.arpa.
std::optional<ReverseName> parse_reverse(const Name& name);

class SubnetIndex {
 public:
  SubnetIndex() = default;
  explicit SubnetIndex(const std::vector<Prefix>& subnets);
  // The widest subnet that holds all addresses the name stands for; nullopt when there is none.
  std::optional<Prefix> find(const ReverseName& name) const;

 private:
  struct Hash {
    size_t operator()(const Prefix& p) const { return std::hash<Address>{}(p.address) * 131 + p.length; }
  };
  std::vector<unsigned> lengths4_, lengths6_;  // ascending
  std::unordered_set<Prefix, Hash> subnets_;
};

// How many labels the reverse zone of a subnet has: 10.32.0.0/12 is cut at the second octet.
unsigned reverse_zone_labels(const Prefix& subnet);

}  // namespace fairlead::dns
