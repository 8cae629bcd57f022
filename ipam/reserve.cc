#include "ipam/reserve.h"

#include <unistd.h>

#include <algorithm>
#include <unordered_set>

#include "base/file.h"
#include "base/names.h"
#include "ipam/blocks.h"
#include "ipam/ipam.h"
#include "ipam/lease.h"
#include "ipam/reservations.h"
#include "ipam/sticky.h"

namespace fairlead::ipam {
namespace {

std::string subject(const std::string& name, const Network& network) {
  return "reservation " + name + " in network " + network.name;
}

Result<void> check_address(const Network& network, const std::vector<RangeSet>& sets, const Address& address) {
  for (const auto& set : sets) {
    if (set.family() != address.family()) continue;
    std::string why = set.refusal(address);
    return why.empty() ? Result<void>() : fail(address.to_string() + " " + why);
  }
  return fail(address.to_string() + " is of an address family that network " + network.name + " does not have");
}

// One free address of each family, from this node's blocks where there are blocks: where the next ADD would look.
Result<std::vector<Address>> choose(const Paths& paths, const Network& network) {
  auto sets = range_sets(network);
  FL_TRY(auto own, own_blocks(paths, network.name, &network));
  if (own) restrict_to(sets, own->blocks);
  LeaseStore store(paths, network.name);
  FL_TRY(auto leased, store.leased());
  std::unordered_set<Address> taken(leased.begin(), leased.end());
  FL_TRY(auto reservations, Reservations::open(paths, network.name));
  for (const auto& [address, name] : reservations.list()) taken.insert(address);
  for (const auto& [address, name] : StickyStore(paths, network.name).list()) taken.insert(address);
  auto cursors = store.cursors(sets.size());
  std::vector<Address> chosen;
  for (size_t i = 0; i < sets.size(); i++) {
    auto free = sets[i].candidates(cursors[i], 1, [&](const Address& a) { return taken.count(a) != 0; });
    if (free.empty()) return fail("network " + network.name + " has no free address left to reserve");
    chosen.push_back(free.front());
  }
  if (chosen.empty()) return fail("network " + network.name + " has no subnet to reserve an address of");
  return chosen;
}

Result<void> check_leases(const Paths& paths, const Reservation& reservation) {
  LeaseStore store(paths, reservation.network);
  for (const auto& address : reservation.addresses) {
    FL_TRY(auto holder, store.holder(address));
    if (!holder) continue;
    bool same = std::any_of(holder->names.begin(), holder->names.end(),
                            [&](const std::string& name) { return address_name(name) == reservation.name; });
    if (!same)
      return fail(address.to_string() + " is in use by container " + holder->container + " " + holder->ifname +
                  (holder->names.empty() ? "" : " (" + holder->names.front() + ")"));
  }
  return {};
}

Result<void> write(const Paths& paths, const Reservation& reservation) {
  FL_CHECK(make_folders(paths.reservations(reservation.network)));
  FL_TRY(bool written, create_file(paths.reservation(reservation.network, reservation.name), encode(reservation),
                                   Durability::kDurable));
  if (!written) return fail("there is one already");
  auto unused = check_leases(paths, reservation);
  if (unused) return Reservations::add(paths, reservation.network, reservation.name, reservation.addresses);
  (void)remove_file(paths.reservation(reservation.network, reservation.name));
  ::rmdir(paths.reservations(reservation.network).c_str());  // fails when there are others
  (void)Reservations::add(paths, reservation.network, reservation.name, {});
  return unused;
}

}  // namespace

Result<Reservation> reserve(const Paths& paths, const Network& network, const std::string& name,
                            std::vector<Address> addresses) {
  FL_CHECK(check_object_name("name", name));
  auto wrap = [&](const Error& error) { return fail(error.with(subject(name, network))); };
  FL_TRY(Fd held, Reservations::lock(paths, network.name));
  FL_CHECK(Reservations::refresh(paths, network.name));
  if (addresses.empty()) {
    FL_TRY(addresses, choose(paths, network));
  }
  const auto sets = range_sets(network);
  for (size_t i = 0; i < addresses.size(); i++) {
    if (auto good = check_address(network, sets, addresses[i]); !good) return wrap(good.error());
    for (size_t j = 0; j < i; j++)
      if (addresses[i].family() == addresses[j].family())
        return wrap(Error{addresses[i].to_string() + " is a second address of the same family"});
  }
  auto existing = load_reservation(paths, network.name, name);
  if (!existing) return wrap(existing.error());
  if (*existing)
    return wrap(Error{"there is one already; remove it first with: fairleadctl reservation rm " + name + " --network " +
                      network.name});
  FL_TRY(auto reservations, Reservations::open(paths, network.name));
  for (const auto& address : addresses)
    if (std::string owner = reservations.owner(address); !owner.empty())
      return wrap(Error{address.to_string() + " is reserved for " + owner + " already"});
  Reservation reservation{network.name, name, std::move(addresses), ""};
  if (auto written = write(paths, reservation); !written) return wrap(written.error());
  return reservation;
}

Result<bool> unreserve(const Paths& paths, const std::string& network, const std::string& name) {
  FL_CHECK(check_object_name("network name", network));
  FL_CHECK(check_object_name("name", name));
  FL_TRY(Fd held, Reservations::lock(paths, network));
  FL_TRY(bool removed, remove_file(paths.reservation(network, name)));
  ::rmdir(paths.reservations(network).c_str());  // the last one: ADDs look no further
  // All of them are read again: another document may name the same address, which counts from now on.
  if (removed) FL_CHECK(Reservations::rebuild(paths, network, nullptr));
  return removed;
}

}  // namespace fairlead::ipam
