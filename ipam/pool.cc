#include "ipam/pool.h"

#include <sys/socket.h>

#include <algorithm>

namespace fairlead::ipam {
namespace {

constexpr int64_t kEndless = int64_t{1} << 62;

bool outside(const Range& range, const Address& a) {
  if (!range.subnet.contains(a) || a == range.subnet.first()) return true;
  return a.is_v4() && a == range.subnet.last();
}

// Walks [first, last] upwards, jumping over what is excluded.
class Walk {
 public:
  Walk(const RangeSet& set, size_t limit, const std::function<bool(const Address&)>& taken, std::vector<Address>& to)
      : set_(set), limit_(limit), taken_(taken), to_(to) {}

  void over(const Range& range, Address a, const Address& last) {
    while (to_.size() < limit_ && a <= last) {
      const Prefix* hole = excluding(a);
      if (!hole && a != range.gateway && !(taken_ && taken_(a))) to_.push_back(a);
      if (hole) a = hole->last();
      if (a >= last) return;  // before plus(): the last address of a family would wrap
      a = a.plus(1);
    }
  }

 private:
  const Prefix* excluding(const Address& a) const {
    for (const auto& prefix : set_.excluded)
      if (prefix.contains(a)) return &prefix;
    return nullptr;
  }
  const RangeSet& set_;
  size_t limit_;
  const std::function<bool(const Address&)>& taken_;
  std::vector<Address>& to_;
};

int64_t count(const Address& first, const Address& last) {
  return first > last ? 0 : std::min(kEndless, std::min(kEndless, last.minus(first)) + 1);
}

}  // namespace

Result<Range> make_range(const Prefix& subnet, std::optional<Address> start, std::optional<Address> end,
                         std::optional<Address> gateway) {
  const std::string name = "subnet " + subnet.to_string();
  if (subnet.has_host_bits())
    return fail(name + ": has host bits; write " + Prefix{subnet.first(), subnet.length}.to_string());
  if (subnet.host_bits() < 2)
    return fail(name + ": too small to give addresses from; the longest is /" +
                std::to_string(subnet.address.bits() - 2));
  Range range;
  range.subnet = subnet;
  range.first = start ? *start : subnet.first().plus(1);
  range.last = end ? *end : subnet.family() == AF_INET ? subnet.last().plus(-1) : subnet.last();
  range.gateway = gateway ? *gateway : subnet.first().plus(1);
  if (range.gateway->family() != subnet.family())
    return fail(name + ": gateway " + range.gateway->to_string() + " is of the other address family");
  if (outside(range, range.first))
    return fail(name + ": rangeStart " + range.first.to_string() + " is no host address of it");
  if (outside(range, range.last))
    return fail(name + ": rangeEnd " + range.last.to_string() + " is no host address of it");
  if (range.first > range.last)
    return fail(name + ": rangeStart " + range.first.to_string() + " is behind rangeEnd " + range.last.to_string());
  return range;
}

const Range* RangeSet::range_of(const Address& a) const {
  for (const auto& range : ranges)
    if (a.family() == range.first.family() && range.first <= a && a <= range.last) return &range;
  return nullptr;
}

std::string RangeSet::refusal(const Address& a) const {
  std::string names;
  for (const auto& range : ranges) {
    if (std::string name = range.subnet.to_string(); names.find(name) == names.npos)
      (names += names.empty() ? "" : ", ") += name;
    if (a == range.gateway) return "is the gateway of " + range.subnet.to_string();
    if (a == range.subnet.first()) return "is the network address of " + range.subnet.to_string();
    if (a.is_v4() && a == range.subnet.last()) return "is the broadcast address of " + range.subnet.to_string();
  }
  for (const auto& prefix : excluded)
    if (prefix.contains(a)) return "is in " + prefix.to_string() + ", which is kept for VIPs";
  if (range_of(a)) return "";
  for (const auto& range : ranges)
    if (range.subnet.contains(a))
      return "is outside the range " + range.first.to_string() + " to " + range.last.to_string();
  return "is outside " + names;
}

bool RangeSet::is_between(const Address& a) const {
  for (const auto& prefix : excluded)
    if (prefix.contains(a)) return false;
  return !range_of(a) && std::any_of(ranges.begin(), ranges.end(),
                                     [&](const Range& range) { return !outside(range, a) && a != range.gateway; });
}

int64_t RangeSet::capacity() const {
  int64_t total = 0;
  for (const auto& range : ranges) {
    int64_t here = count(range.first, range.last);
    for (const auto& prefix : excluded)
      if (range.subnet.overlaps(prefix))
        here -= count(std::max(range.first, prefix.first()), std::min(range.last, prefix.last()));
    if (range.gateway && range.first <= *range.gateway && *range.gateway <= range.last) here--;
    total = std::min(kEndless, total + std::max<int64_t>(here, 0));
  }
  return total;
}

std::vector<Address> RangeSet::candidates(const std::optional<Address>& after, size_t n,
                                          const std::function<bool(const Address&)>& taken) const {
  std::vector<Address> found;
  if (ranges.empty()) return found;
  const Range* start = after ? range_of(*after) : nullptr;
  size_t begin = start ? static_cast<size_t>(start - ranges.data()) : 0;
  Walk walk(*this, n, taken, found);
  const Range& first = ranges[begin];
  if (!start) walk.over(first, first.first, first.last);
  if (start && *after < first.last) walk.over(first, after->plus(1), first.last);
  if (start && one_by_one) walk.over(first, first.first, *after);
  for (size_t i = 1; i < ranges.size(); i++) {
    const Range& range = ranges[(begin + i) % ranges.size()];
    walk.over(range, range.first, range.last);
  }
  if (start && !one_by_one) walk.over(first, first.first, *after);
  return found;
}

Result<void> check_range_sets(const std::vector<RangeSet>& sets) {
  if (sets.empty()) return fail("no ranges to give addresses from");
  std::vector<const Range*> seen;
  for (const auto& set : sets) {
    if (set.ranges.empty()) return fail("a list of ranges is empty");
    for (const auto& range : set.ranges) {
      if (range.subnet.family() != set.family())
        return fail("subnet " + range.subnet.to_string() + ": one list has ranges of one address family only");
      for (const Range* other : seen)
        if (other->subnet.family() == range.subnet.family() && other->first <= range.last && range.first <= other->last)
          return fail("ranges " + other->first.to_string() + "-" + other->last.to_string() + " and " +
                      range.first.to_string() + "-" + range.last.to_string() + " overlap");
      seen.push_back(&range);
    }
  }
  return {};
}

std::vector<Span> spans_of(const std::vector<Address>& addresses, int64_t max_gap) {
  std::vector<Span> spans;
  for (const auto& a : addresses) {
    if (!spans.empty() && spans.back().last.family() == a.family()) {
      int64_t step = a.minus(spans.back().last);
      if (step > 0 && step <= max_gap + 1) {
        spans.back().last = a;
        continue;
      }
    }
    spans.push_back({a, a});
  }
  return spans;
}

}  // namespace fairlead::ipam
