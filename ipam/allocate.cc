// Giving addresses: what was asked for, what is reserved for the name, what it had last, else what is free.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <unordered_set>

#include "base/log.h"
#include "ipam/blocks.h"
#include "ipam/guard.h"
#include "ipam/ipam.h"
#include "ipam/lease.h"
#include "state/netns_id.h"

namespace fairlead::ipam {
namespace {

using cni::cni_fail;
using cni::CniError;
using cni::CniResult;

// How many addresses one owner names before it tries them: first more than are usually contended for at once, then
// more than can be. Naming them is a good part of what an ADD computes.
constexpr size_t kFirstWindow = 48, kWindow = 256;
constexpr int kRounds = 64;

// How far a free address is looked for. Only the first is without a listing of the folders.
enum class Look { kNearby, kListed, kKeptForOthers };

class Allocation {
 public:
  Allocation(const Paths& paths, const IpamRequest& request, Guard guard)
      : paths_(paths), request_(request), guard_(std::move(guard)), store_(paths, request.network) {}

  // nullopt: reservations changed and what was granted is somebody else's now; it was given back.
  CniResult<std::optional<std::vector<Granted>>> run();

 private:
  CniResult<void> place_requested();
  CniResult<void> place_reserved();
  // Puts address into the first set that can give it. Why not, as "address" is what; empty when it is placed.
  std::string place(const Address& address);
  std::string refusal_of(const RangeSet& set, const Address& address) const;
  CniResult<void> find_free(std::vector<Address>& granted);
  Result<std::vector<std::vector<Address>>> choices(Look look) const;
  void prefer(size_t set, std::vector<Address>& choices) const;
  CniResult<bool> still_ours(const std::vector<Address>& granted);
  std::vector<Granted> grant(const std::vector<Address>& addresses) const;
  void keep(const std::vector<Address>& addresses) const;
  tl::unexpected<CniError> in_use(const Address& address) const;
  tl::unexpected<CniError> exhausted(const RangeSet& set) const;

  const Paths& paths_;
  const IpamRequest& request_;
  Guard guard_;
  LeaseStore store_;
  std::vector<std::optional<Address>> wanted_;  // by set
};

bool has(const std::vector<Address>& list, const Address& address) {
  return std::find(list.begin(), list.end(), address) != list.end();
}

std::string Allocation::refusal_of(const RangeSet& set, const Address& address) const {
  std::string why = set.refusal(address);
  if (why.empty() || request_.node.empty() || !set.is_between(address)) return why;
  auto block = block_of(paths_, request_.network, address);
  if (!block) return "is in no block of network " + request_.network + "; this is node " + request_.node;
  if (block->node == request_.node) return why;  // outside the ranges of the configuration
  return "is in block " + block->block.to_string() + " of node " + block->node + "; this is node " + request_.node;
}

std::string Allocation::place(const Address& address) {
  std::string why;
  bool full = false;
  for (size_t i = 0; i < request_.sets.size(); i++) {
    if (request_.sets[i].family() != address.family()) continue;
    if (!request_.sets[i].refusal(address).empty()) {
      if (why.empty()) why = refusal_of(request_.sets[i], address);
    } else if (wanted_[i]) {
      full = true;
    } else {
      wanted_[i] = address;
      return "";
    }
  }
  if (full) return "is the second one from the same range; one address is given per range";
  return why.empty() ? "is of an address family that network " + request_.network + " does not have" : why;
}

CniResult<void> Allocation::place_requested() {
  wanted_.assign(request_.sets.size(), std::nullopt);
  for (const auto& address : request_.wanted) {
    if (std::string why = place(address); !why.empty())
      return cni_fail(cni::kInvalidConfig, "requested address " + address.to_string() + " " + why);
    if (std::string why = guard_.refusal(address); !why.empty())
      return cni_fail(cni::kAddressInUse,
                      "requested address " + address.to_string() + " of network " + request_.network + " " + why);
  }
  return {};
}

// Where an address was asked for, that is what the endpoint wants instead.
CniResult<void> Allocation::place_reserved() {
  for (const auto& address : guard_.reserved()) {
    bool open = false;
    for (size_t i = 0; i < wanted_.size(); i++) open |= !wanted_[i] && request_.sets[i].family() == address.family();
    if (!open) continue;
    std::string why = guard_.refusal(address);  // two reservations of one address
    if (why.empty()) why = place(address);
    if (!why.empty())
      return cni_fail(cni::kInvalidConfig, "address " + address.to_string() + ", reserved for " +
                                               guard_.reserved_name() + " in network " + request_.network + ", " + why);
  }
  return {};
}

// What the name had last goes first.
void Allocation::prefer(size_t set, std::vector<Address>& choices) const {
  for (const auto& address : guard_.preferred()) {
    if (request_.sets[set].family() != address.family() || !request_.sets[set].refusal(address).empty()) continue;
    std::erase(choices, address);
    choices.insert(choices.begin(), address);
    return;
  }
}

Result<std::vector<std::vector<Address>>> Allocation::choices(Look look) const {
  std::unordered_set<Address> taken;
  if (look != Look::kNearby) {
    FL_TRY(auto leased, store_.leased());
    taken.insert(leased.begin(), leased.end());
    auto others = guard_.refused(look == Look::kListed);
    taken.insert(others.begin(), others.end());
  }
  auto cursors = store_.cursors(request_.sets.size());
  std::vector<std::vector<Address>> all;
  for (size_t i = 0; i < request_.sets.size(); i++) {
    if (wanted_[i]) {
      all.push_back({*wanted_[i]});
      continue;
    }
    std::function<bool(const Address&)> is_taken;
    if (look != Look::kNearby) is_taken = [&](const Address& a) { return taken.count(a) != 0; };
    all.push_back(request_.sets[i].candidates(cursors[i], look == Look::kNearby ? kFirstWindow : kWindow, is_taken));
    if (look == Look::kNearby) prefer(i, all.back());
  }
  return all;
}

CniResult<void> Allocation::find_free(std::vector<Address>& granted) {
  const std::string who = "container " + request_.container + " " + request_.ifname;
  Owner owner{
      request_.container, request_.ifname, request_.netns, netns_inode(request_.netns), request_.by_fairlead, {},
      request_.names,     guard_.sticky()};
  Look look = Look::kNearby;
  for (int round = 0; round < kRounds; round++) {
    FL_TRY(auto lists, choices(look));
    auto empty = std::find_if(lists.begin(), lists.end(), [](const auto& list) { return list.empty(); });
    if (empty != lists.end()) {
      if (look == Look::kKeptForOthers || !guard_.any_sticky())
        return exhausted(request_.sets[static_cast<size_t>(empty - lists.begin())]);
      look = Look::kKeptForOthers;
      continue;
    }
    LeaseStore::Filter passes;
    if (guard_.active())
      passes = [&](const Address& a) { return guard_.refusal(a, look != Look::kKeptForOthers).empty(); };
    FL_TRY(auto claim, store_.claim(owner, lists, passes));
    switch (claim.what) {
      case LeaseStore::Claim::kGranted:
        granted = std::move(claim.granted);
        return {};
      case LeaseStore::Claim::kOwnerExists:
        return cni_fail(cni::kAddressInUse, who + " has addresses of network " + request_.network + " already",
                        "an earlier ADD was not followed by a DEL");
      case LeaseStore::Claim::kReleasedMeanwhile:
        return cni_fail(cni::kTryAgainLater, who + " was deleted while it was being added");
      case LeaseStore::Claim::kAllTaken:
        if (wanted_[claim.taken]) return in_use(*wanted_[claim.taken]);
        if (look == Look::kNearby) look = Look::kListed;
    }
  }
  return cni_fail(cni::kTryAgainLater,
                  "network " + request_.network + ": every free address was taken by others meanwhile");
}

// A reservation is written before its writer looks who has the address (ctl/reservation_commands.cc), and we look for
// reservations after we took it: of the two at least one sees the other. So it is with blocks that are given back.
CniResult<bool> Allocation::still_ours(const std::vector<Address>& granted) {
  if (!request_.blocks.empty() && blocks_state(paths_, request_.network) != request_.blocks) {
    FL_TRY(auto own, own_blocks(paths_, request_.network));
    auto inside = [&](const Address& a) {
      return std::any_of(own->blocks.begin(), own->blocks.end(),
                         [&](const Prefix& block) { return block.contains(a); });
    };
    if (own && !std::all_of(granted.begin(), granted.end(), inside)) {
      FL_TRY(bool any, store_.release(request_.container, request_.ifname));
      (void)any;
      return cni_fail(cni::kTryAgainLater, "network " + request_.network + ": this node's blocks changed meanwhile");
    }
  }
  if (!guard_.outdated()) return true;
  FL_TRY(auto now, Guard::open(paths_, request_.network, request_.names, guard_.sticky()));
  bool fine =
      std::all_of(granted.begin(), granted.end(), [&](const Address& a) { return now.refusal(a, false).empty(); });
  if (fine) return true;
  FL_TRY(bool any, store_.release(request_.container, request_.ifname));
  (void)any;
  return false;
}

std::vector<Granted> Allocation::grant(const std::vector<Address>& addresses) const {
  std::vector<Granted> granted;
  std::vector<std::optional<Address>> cursors(addresses.size());
  for (size_t i = 0; i < addresses.size(); i++) {
    const Range* range = request_.sets[i].range_of(addresses[i]);
    granted.push_back({Prefix{addresses[i], range->subnet.length}, range->gateway});
    if (!wanted_[i] && !has(guard_.preferred(), addresses[i])) cursors[i] = addresses[i];
  }
  store_.set_cursors(cursors);
  return granted;
}

void Allocation::keep(const std::vector<Address>& addresses) const {
  if (guard_.sticky().empty()) return;
  // A second endpoint of the same name leaves what the first one has to the first one.
  for (const auto& address : guard_.preferred()) {
    if (has(addresses, address)) continue;
    auto holder = store_.holder(address);
    if (holder && *holder && (*holder)->sticky == guard_.sticky()) return;
  }
  // An ADD does not fail over it: the address is had, only not for longer.
  auto kept = StickyStore(paths_, request_.network).keep(guard_.sticky(), addresses, request_.sticky_ms);
  if (!kept) log_debug(kept.error().message);
}

tl::unexpected<CniError> Allocation::in_use(const Address& address) const {
  std::string text = "requested address " + address.to_string();
  std::string details;
  if (has(guard_.reserved(), address) && !has(request_.wanted, address)) {
    text = "address " + address.to_string() + ", reserved for " + guard_.reserved_name() + ",";
    details =
        "a reserved address is one endpoint's at a time; remove the other one, or the reservation with: "
        "fairleadctl reservation rm " +
        guard_.reserved_name() + " --network " + request_.network;
  }
  auto holder = store_.holder(address);
  std::string who = holder && *holder ? "by container " + (*holder)->container + " " + (*holder)->ifname : "already";
  return cni_fail(cni::kAddressInUse, text + " is in use " + who, details);
}

tl::unexpected<CniError> Allocation::exhausted(const RangeSet& set) const {
  std::string where, why;
  for (const auto& range : set.ranges)
    if (std::string name = range.subnet.to_string(); where.find(name) == where.npos)
      (where += where.empty() ? "" : ", ") += name;
  if (!request_.node.empty()) where += " (blocks of node " + request_.node + ")";
  if (auto leased = store_.leased()) {
    auto inside = [&](const Address& a) { return set.refusal(a).empty(); };
    auto reserved = guard_.refused(false);
    std::erase_if(reserved, [&](const Address& a) { return !inside(a) || has(*leased, a); });
    auto count = std::count_if(leased->begin(), leased->end(), inside);
    why = ": of " + std::to_string(set.capacity()) + " addresses " + std::to_string(count) + " are leased";
    if (!reserved.empty()) why += " and " + std::to_string(reserved.size()) + " reserved";
  }
  const std::string trouble = request_.node.empty() ? "" : trouble_of(paths_, request_.network);
  return cni_fail(cni::kTryAgainLater, "network " + request_.network + ": no free address left in " + where + why,
                  !trouble.empty() ? trouble
                                   : "see who has them with: fairleadctl endpoint ls --network " + request_.network +
                                         "; remove containers, or make a network with a larger subnet");
}

CniResult<std::optional<std::vector<Granted>>> Allocation::run() {
  FL_CHECK(place_requested());
  FL_CHECK(place_reserved());
  std::vector<Address> granted;
  FL_CHECK(find_free(granted));
  FL_TRY(bool ours, still_ours(granted));
  if (!ours) return std::nullopt;
  keep(granted);
  return std::optional<std::vector<Granted>>(grant(granted));
}

}  // namespace

CniResult<std::vector<Granted>> allocate(const Paths& paths, const IpamRequest& request) {
  std::string sticky;
  if (request.sticky)
    for (const auto& name : request.names)
      if (sticky.empty()) sticky = address_name(name);
  for (int tries = 0; tries < 8; tries++) {
    FL_TRY(auto guard, Guard::open(paths, request.network, request.names, sticky));
    FL_TRY(auto granted, Allocation(paths, request, std::move(guard)).run());
    if (granted) return std::move(*granted);
  }
  return cni_fail(cni::kTryAgainLater, "network " + request.network + ": reservations are being changed");
}

}  // namespace fairlead::ipam
