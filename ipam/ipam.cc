#include "ipam/ipam.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <set>
#include <unordered_set>

#include "base/names.h"
#include "ipam/blocks.h"
#include "ipam/config.h"
#include "ipam/lease.h"
#include "ipam/reservations.h"
#include "state/netns_id.h"

namespace fairlead::ipam {
namespace {

using cni::cni_fail;
using cni::CniError;
using cni::CniResult;

constexpr int64_t kBlockWaitMs = 3000;
constexpr int kBlockLookMs = 300;

// A release held up by a stopped process may work later.
CniError lease_error(Error error) {
  int code = error.sys == EWOULDBLOCK ? cni::kTryAgainLater : cni::kOwnError;
  return {code, std::move(error.message)};
}

std::string subnets_of(const RangeSet& set) {
  std::string names;
  for (const auto& range : set.ranges)
    if (std::string name = range.subnet.to_string(); names.find(name) == names.npos)
      (names += names.empty() ? "" : ", ") += name;
  return names;
}

// taken: leases, and what is reserved.
bool has_free(const RangeSet& set, const std::unordered_set<Address>& taken) {
  if (set.capacity() > static_cast<int64_t>(taken.size())) return true;
  return !set.candidates({}, 1, [&](const Address& a) { return taken.count(a) != 0; }).empty();
}

}  // namespace

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

namespace {

CniResult<cni::AddResult> add_now(const Paths& paths, const cni::Request& request, const Network* network,
                                  const std::vector<std::string>* names) {
  FL_TRY(auto config, read_config(paths, request, network));
  IpamRequest wish{config.network,   request.container, request.ifname, request.netns,
                   names != nullptr, config.sets,       config.wanted};
  wish.names = names ? *names : names_of(request);
  // As the endpoint is called when nobody gave it a name (cni-plugin/add.cc).
  if (wish.names.empty() && !is_machine_made_id(request.container) && is_dns_name(request.container))
    wish.names.push_back(request.container);
  wish.node = config.node;
  wish.blocks = config.blocks;
  wish.sticky = config.sticky;
  wish.sticky_ms = config.sticky_ms;
  FL_TRY(auto granted, allocate(paths, wish));
  cni::AddResult result;
  for (const auto& g : granted) result.ips.push_back({g.address, g.gateway, std::nullopt});
  result.routes = std::move(config.routes);
  result.dns = std::move(config.dns);
  return result;
}

}  // namespace

// Blocks are claimed ahead of need; an ADD that comes first, or needs the last address another node can spare, waits.
CniResult<cni::AddResult> add(const Paths& paths, const cni::Request& request, const Network* network,
                              const std::vector<std::string>* names) {
  for (int64_t waited = 0;;) {
    const std::string before = blocks_state(paths, network_name(request));
    auto added = add_now(paths, request, network, names);
    if (added && waited > 0) want_no_block(paths, network_name(request));  // who else waits says so again
    if (added || added.error().code != cni::kTryAgainLater || waited >= kBlockWaitMs) return added;
    FL_TRY(auto own, own_blocks(paths, network_name(request)));
    if (!own || !own->claimed) return added;
    const auto start = std::chrono::steady_clock::now();
    want_block(paths, network_name(request));
    (void)wait_for_blocks(paths, network_name(request), before, kBlockLookMs);
    waited +=
        1 + std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start).count();
  }
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
  std::unordered_set<Address> taken(leased->begin(), leased->end());
  auto reservations = Reservations::open(paths, config->network);
  if (!reservations) return cni_fail(cni::kNotAvailable, reservations.error().message);
  for (const auto& [address, name] : reservations->list()) taken.insert(address);
  for (const auto& set : config->sets)
    if (!has_free(set, taken))
      return cni_fail(cni::kNotAvailable,
                      "network " + config->network + ": no free address left in " + subnets_of(set));
  return {};
}

}  // namespace fairlead::ipam
