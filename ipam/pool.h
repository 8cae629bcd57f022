// Which addresses may be given: pure arithmetic, no files.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"

namespace fairlead::ipam {

// Part of a subnet: first to last, both included, without the gateway.
struct Range {
  Prefix subnet;
  Address first, last;
  std::optional<Address> gateway;
  friend bool operator==(const Range&, const Range&) = default;
};
// The range a subnet stands for when nothing else is said: everything but network address, broadcast address (IPv4)
// and gateway; the gateway is the subnet's first host unless given. Refused: host bits, fewer than two host bits,
// start or end outside the subnet or in the wrong order.
Result<Range> make_range(const Prefix& subnet, std::optional<Address> start = {}, std::optional<Address> end = {},
                         std::optional<Address> gateway = {});

// Addresses [first, last].
struct Span {
  Address first, last;
  bool contains(const Address& a) const { return a.family() == first.family() && first <= a && a <= last; }
  friend bool operator==(const Span&, const Span&) = default;
};

// Ranges of one family from which one address is given, in order, and what is taken out of them.
struct RangeSet {
  std::vector<Range> ranges;
  std::vector<Prefix> excluded;  // e.g. the VIP pool
  // Whether a range is used up, its released addresses included, before the next one is begun (blocks). Otherwise all
  // of them are one ring, as host-local's are.
  bool one_by_one = false;

  int family() const { return ranges.empty() ? 0 : ranges.front().subnet.family(); }
  const Range* range_of(const Address& a) const;  // the range whose first..last holds it
  // Why an address can never be given by this set ("is the gateway of 10.0.0.0/24"); empty when it can.
  std::string refusal(const Address& a) const;
  // True for a host address of one of the subnets that is in none of the ranges.
  bool is_between(const Address& a) const;
  // How many addresses can be given, saturated at 2^62.
  int64_t capacity() const;
  // Up to n addresses in round-robin order, beginning after `after` (or with the first when it is not in the set).
  // Each at most once; those for which taken says yes are passed over.
  std::vector<Address> candidates(const std::optional<Address>& after, size_t n,
                                  const std::function<bool(const Address&)>& taken = {}) const;
};

// Refused: an empty set, mixed families, ranges that overlap, within a set or across.
Result<void> check_range_sets(const std::vector<RangeSet>& sets);

// Runs of ascending addresses that together hold all of them; gaps of up to max_gap addresses are bridged.
std::vector<Span> spans_of(const std::vector<Address>& addresses, int64_t max_gap = 64);

}  // namespace fairlead::ipam
