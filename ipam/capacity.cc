#include "ipam/capacity.h"

#include <sys/stat.h>

#include <algorithm>
#include <unordered_set>

#include "ipam/blocks.h"
#include "ipam/ipam.h"
#include "ipam/lease.h"
#include "ipam/reservations.h"
#include "ipam/sticky.h"
#include "state/store.h"

namespace fairlead::ipam {
namespace {

// When the newest document was written, in nanoseconds.
int64_t newest_document(const Paths& paths, const std::string& network) {
  int64_t newest = 0;
  auto names = list_documents(paths.reservations(network));
  if (!names) return newest;
  for (const auto& name : *names) {
    struct stat st {};
    if (::stat(paths.reservation(network, name).c_str(), &st) == 0)
      newest = std::max(newest, st.st_mtim.tv_sec * int64_t{1'000'000'000} + st.st_mtim.tv_nsec);
  }
  return newest;
}

}  // namespace

Result<void> refresh_edited(const Paths& paths, const std::string& network) {
  FL_TRY(auto reservations, Reservations::open(paths, network));
  if (!reservations.any()) return {};
  struct stat stamp {};
  const std::string path = paths.reserved(network) + "/.stamp";
  if (::lstat(path.c_str(), &stamp) == 0 &&
      stamp.st_mtim.tv_sec * int64_t{1'000'000'000} + stamp.st_mtim.tv_nsec > newest_document(paths, network))
    return {};
  FL_TRY(Fd held, Reservations::lock(paths, network));
  return Reservations::rebuild(paths, network, nullptr);
}

int PoolUse::percent() const {
  if (size <= 0) return 100;
  return static_cast<int>(
      std::min<int64_t>(100, static_cast<int64_t>(static_cast<double>(used()) * 100 / static_cast<double>(size))));
}

Result<std::vector<PoolUse>> pool_use(const Paths& paths, const Network& network) {
  std::vector<PoolUse> pools;
  auto sets = range_sets(network);
  if (sets.empty()) return pools;
  for (const auto& set : sets) pools.push_back({set.ranges.front().subnet, false, 0, 0, 0});
  FL_TRY(auto own, own_blocks(paths, network.name, &network));
  if (own) restrict_to(sets, own->blocks);
  FL_TRY(auto leased, LeaseStore(paths, network.name).leased());
  FL_TRY(auto reservations, Reservations::open(paths, network.name));
  const auto reserved = reservations.list();
  const std::unordered_set<Address> taken(leased.begin(), leased.end());
  for (size_t i = 0; i < sets.size(); i++) {
    auto inside = [&](const Address& a) { return sets[i].range_of(a) && sets[i].refusal(a).empty(); };
    pools[i].blocks = own.has_value();
    pools[i].size = sets[i].capacity();
    pools[i].leased = std::count_if(leased.begin(), leased.end(), inside);
    for (const auto& [address, name] : reserved)
      if (!taken.count(address) && inside(address)) pools[i].reserved++;
  }
  return pools;
}

std::string capacity_warning(const std::string& network, const PoolUse& pool) {
  std::string of = pool.blocks ? "this node's blocks of " + pool.subnet.to_string() : pool.subnet.to_string();
  std::string text = "network " + network + ": " + of + (pool.full() ? " has no free address left" : "");
  if (!pool.full()) text += (pool.blocks ? " are " : " is ") + std::to_string(pool.percent()) + " % used";
  text += ": " + std::to_string(pool.leased) + " leased and " + std::to_string(pool.reserved) + " reserved of " +
          std::to_string(pool.size) + " addresses; ";
  return text + (pool.blocks ? "in a cluster it asks for another block, else give it one"
                             : "remove containers, or use a network with a larger subnet");
}

Result<void> upkeep(const Paths& paths, const std::string& network) {
  FL_CHECK(refresh_edited(paths, network));
  StickyStore sticky(paths, network);
  if (!sticky.any()) return {};
  FL_TRY(auto leased, LeaseStore(paths, network).leased());
  const std::unordered_set<Address> taken(leased.begin(), leased.end());
  return sticky.collect([&](const Address& a) { return taken.count(a) != 0; });
}

}  // namespace fairlead::ipam
