#include "ipam/ipam.h"

#include <algorithm>
#include <cerrno>
#include <set>
#include <unordered_set>

#include "ipam/config.h"
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

// A release held up by a stopped process may work later.
CniError lease_error(Error error) {
  int code = error.sys == EWOULDBLOCK ? cni::kTryAgainLater : cni::kOwnError;
  return {code, std::move(error.message)};
}

std::string names_of(const RangeSet& set) {
  std::string names;
  for (const auto& range : set.ranges) (names += names.empty() ? "" : ", ") += range.subnet.to_string();
  return names;
}

tl::unexpected<CniError> exhausted(const IpamRequest& request, const RangeSet& set) {
  return cni_fail(cni::kTryAgainLater, "network " + request.network + ": no free address left in " + names_of(set),
                  "all " + std::to_string(set.capacity()) +
                      " addresses are in use; remove containers, or give the network a larger subnet");
}

// Which set gives which wanted address; sets without one choose themselves.
CniResult<std::vector<std::optional<Address>>> place_wanted(const IpamRequest& request) {
  std::vector<std::optional<Address>> places(request.sets.size());
  for (const auto& address : request.wanted) {
    std::string why;
    bool placed = false, full = false;
    for (size_t i = 0; i < request.sets.size() && !placed; i++) {
      if (request.sets[i].family() != address.family()) continue;
      std::string refusal = request.sets[i].refusal(address);
      if (!refusal.empty()) {
        if (why.empty()) why = refusal;
      } else if (places[i]) {
        full = true;
      } else {
        places[i] = address;
        placed = true;
      }
    }
    if (placed) continue;
    if (full) why = "is the second one from the same range; one address is given per range";
    if (why.empty()) why = "is of an address family that network " + request.network + " does not have";
    return cni_fail(cni::kInvalidConfig, "requested address " + address.to_string() + " " + why);
  }
  return places;
}

tl::unexpected<CniError> in_use(const LeaseStore& store, const Address& address) {
  auto holder = store.holder(address);
  std::string who = holder && *holder ? "by container " + (*holder)->container + " " + (*holder)->ifname : "already";
  return cni_fail(cni::kAddressInUse, "requested address " + address.to_string() + " is in use " + who);
}

struct AddressHash {
  size_t operator()(const Address& a) const { return std::hash<Address>{}(a); }
};

// The choices for one attempt; the folder is only listed when a whole window turned out to be taken.
Result<std::vector<std::vector<Address>>> choices_for(const IpamRequest& request, const LeaseStore& store,
                                                      const std::vector<std::optional<Address>>& wanted, bool list) {
  std::unordered_set<Address, AddressHash> taken;
  if (list) {
    FL_TRY(auto leased, store.leased());
    taken.insert(leased.begin(), leased.end());
  }
  auto cursors = store.cursors(request.sets.size());
  std::vector<std::vector<Address>> choices;
  for (size_t i = 0; i < request.sets.size(); i++) {
    if (wanted[i]) {
      choices.push_back({*wanted[i]});
    } else {
      std::function<bool(const Address&)> is_taken;
      if (list) is_taken = [&](const Address& a) { return taken.count(a) != 0; };
      choices.push_back(request.sets[i].candidates(cursors[i], list ? kWindow : kFirstWindow, is_taken));
    }
  }
  return choices;
}

std::vector<Granted> grant(const IpamRequest& request, const LeaseStore& store, const std::vector<Address>& addresses,
                           const std::vector<std::optional<Address>>& wanted) {
  std::vector<Granted> granted;
  std::vector<std::optional<Address>> cursors(addresses.size());
  for (size_t i = 0; i < addresses.size(); i++) {
    const Range* range = request.sets[i].range_of(addresses[i]);
    granted.push_back({Prefix{addresses[i], range->subnet.length}, range->gateway});
    if (!wanted[i]) cursors[i] = addresses[i];
  }
  store.set_cursors(cursors);
  return granted;
}

bool has_free(const RangeSet& set, const std::vector<Address>& leased) {
  if (set.capacity() > static_cast<int64_t>(leased.size())) return true;
  std::unordered_set<Address, AddressHash> taken(leased.begin(), leased.end());
  return !set.candidates({}, 1, [&](const Address& a) { return taken.count(a) != 0; }).empty();
}

}  // namespace

CniResult<std::vector<Granted>> allocate(const Paths& paths, const IpamRequest& request) {
  LeaseStore store(paths, request.network);
  FL_TRY(auto wanted, place_wanted(request));
  Owner owner{request.container, request.ifname, request.netns, netns_inode(request.netns), request.by_fairlead, {}};
  for (int round = 0; round < kRounds; round++) {
    FL_TRY(auto choices, choices_for(request, store, wanted, round > 0));
    for (size_t i = 0; i < choices.size(); i++)
      if (choices[i].empty()) return exhausted(request, request.sets[i]);
    FL_TRY(auto claim, store.claim(owner, choices));
    switch (claim.what) {
      case LeaseStore::Claim::kGranted:
        return grant(request, store, claim.granted, wanted);
      case LeaseStore::Claim::kOwnerExists:
        return cni_fail(cni::kAddressInUse,
                        "container " + request.container + " " + request.ifname + " has addresses of network " +
                            request.network + " already",
                        "an earlier ADD was not followed by a DEL");
      case LeaseStore::Claim::kReleasedMeanwhile:
        return cni_fail(cni::kTryAgainLater, "container " + request.container + " " + request.ifname +
                                                 " was deleted while it was being added");
      case LeaseStore::Claim::kAllTaken:
        if (wanted[claim.taken]) return in_use(store, *wanted[claim.taken]);
        // A set smaller than a window was tried in full.
        if (request.sets[claim.taken].capacity() <= static_cast<int64_t>(choices[claim.taken].size()))
          return exhausted(request, request.sets[claim.taken]);
    }
  }
  return cni_fail(cni::kTryAgainLater,
                  "network " + request.network + ": every free address was taken by others meanwhile");
}

Result<void> release(const Paths& paths, const std::string& network, const std::string& container,
                     const std::string& ifname) {
  FL_TRY(bool any, LeaseStore(paths, network).release(container, ifname));
  (void)any;
  return {};
}

Result<std::vector<Address>> leases_of(const Paths& paths, const std::string& network, const std::string& container,
                                       const std::string& ifname) {
  FL_TRY(auto holding, LeaseStore(paths, network).find(container, ifname));
  return holding ? holding->addresses : std::vector<Address>();
}

Result<std::vector<Lease>> list_leases(const Paths& paths, const std::string& network) {
  LeaseStore store(paths, network);
  FL_TRY(auto addresses, store.leased());
  std::sort(addresses.begin(), addresses.end());
  std::vector<Lease> leases;
  for (const auto& address : addresses) {
    auto owner = store.holder(address);  // one released meanwhile, or one nobody can read, is listed without owner
    Lease lease{address, {}, ""};
    if (owner && *owner) lease = {address, {(*owner)->container, (*owner)->ifname}, (*owner)->netns};
    leases.push_back(std::move(lease));
  }
  return leases;
}

CniResult<cni::AddResult> add(const Paths& paths, const cni::Request& request, const Network* network,
                              bool by_fairlead) {
  FL_TRY(auto config, read_config(paths, request, network));
  IpamRequest wish{config.network, request.container, request.ifname, request.netns,
                   by_fairlead,    config.sets,       config.wanted};
  FL_TRY(auto granted, allocate(paths, wish));
  cni::AddResult result;
  for (const auto& g : granted) result.ips.push_back({g.address, g.gateway, std::nullopt});
  result.routes = std::move(config.routes);
  return result;
}

CniResult<void> del(const Paths& paths, const cni::Request& request) {
  auto released = release(paths, network_name(request), request.container, request.ifname);
  if (!released) return fail(lease_error(std::move(released.error())));
  return {};
}

CniResult<void> check(const Paths& paths, const cni::Request& request) {
  const std::string network = network_name(request);
  FL_TRY(auto holding, LeaseStore(paths, network).find(request.container, request.ifname));
  if (holding && !holding->addresses.empty() && holding->addresses.size() == holding->owner.tried.size()) return {};
  return cni_fail(cni::kOwnError,
                  "container " + request.container + " " + request.ifname +
                      (holding ? " has lost an address" : " has no address") + " of network " + network,
                  "the lease is gone from " + LeaseStore(paths, network).lease_folder());
}

CniResult<void> gc(const Paths& paths, const cni::Request& request) {
  FL_TRY(auto valid, cni::valid_attachments(request));
  if (!valid) return {};
  std::set<cni::Attachment> listed(valid->begin(), valid->end());
  LeaseStore::Collection collection;
  collection.min_age_ms = kGraceMs;
  collection.judge = [&](const Owner& owner) -> std::optional<Fd> {
    if (owner.by_fairlead || listed.count({owner.container, owner.ifname})) return std::nullopt;
    if (netns_state(owner.netns, owner.netns_inode) != NetnsState::kGone) return std::nullopt;
    return Fd();
  };
  auto done = LeaseStore(paths, network_name(request)).collect(collection);
  if (!done) return fail(lease_error(std::move(done.error())));
  return {};
}

CniResult<void> status(const Paths& paths, const cni::Request& request, const Network* network) {
  auto config = read_config(paths, request, network);
  if (!config) return cni_fail(cni::kNotAvailable, config.error().msg, config.error().details);
  auto leased = LeaseStore(paths, config->network).leased();
  if (!leased) return cni_fail(cni::kNotAvailable, leased.error().message);
  for (const auto& set : config->sets)
    if (!has_free(set, *leased))
      return cni_fail(cni::kNotAvailable, "network " + config->network + ": no free address left in " + names_of(set));
  return {};
}

}  // namespace fairlead::ipam
