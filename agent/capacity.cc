#include "agent/capacity.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/log.h"

namespace fairlead::agent {
namespace {

using namespace std::chrono_literals;

constexpr auto kLook = 2s;
// Reservations and blocks change without a lease.
constexpr auto kCount = 30s;
constexpr auto kUpkeep = 60s;
// A warning is over when there is this much room, so that one address more or less is no news.
constexpr int kRoomPercent = 70;

std::string state_of(const std::string& folder) {
  struct stat st {};
  if (::stat(folder.c_str(), &st) != 0) return "";
  return std::to_string(st.st_ino) + ":" + std::to_string(st.st_mtim.tv_sec) + "." + std::to_string(st.st_mtim.tv_nsec);
}

std::string sample(const char* name, const std::string& network, const ipam::PoolUse& pool, int64_t value) {
  return std::string(name) + "{network=\"" + network + "\",subnet=\"" + pool.subnet.to_string() + "\"} " +
         std::to_string(value) + "\n";
}

}  // namespace

void CapacityWatch::pass(const StateView& view, Clock::time_point now) {
  if (now < next_) return;
  next_ = now + kLook;
  std::erase_if(networks_, [&](const auto& entry) { return !view.networks().count(entry.first); });
  for (const auto& [name, network] : view.networks()) {
    Entry& entry = networks_[name];
    if (now - entry.kept_at >= kUpkeep || entry.kept_at == Clock::time_point{}) {
      entry.kept_at = now;
      if (auto kept = ipam::upkeep(paths_, name); !kept) log_warning(kept.error().message);
    }
    // A change in the same tick of the kernel's clock leaves the folder's time as it is; hence the time limit, too.
    std::string leases = state_of(paths_.leases(name));
    if (leases == entry.leases && now - entry.counted_at < kCount && entry.counted_at != Clock::time_point{}) continue;
    entry.leases = leases;
    count(*network, entry, now);
  }
}

void CapacityWatch::count(const Network& network, Entry& entry, Clock::time_point now) {
  entry.counted_at = now;
  auto pools = ipam::pool_use(paths_, network);
  entry.trouble = pools ? "" : pools.error().message;
  entry.pools = pools ? std::move(*pools) : std::vector<ipam::PoolUse>();
  warn(network.name, entry);
}

void CapacityWatch::warn(const std::string& network, Entry& entry) {
  for (const auto& pool : entry.pools) {
    const std::string subnet = pool.subnet.to_string();
    if (pool.nearly_full() && entry.warned.insert(subnet).second) log_warning(ipam::capacity_warning(network, pool));
    if (pool.percent() < kRoomPercent && entry.warned.erase(subnet))
      log_info("network " + network + ": " + subnet + " has room again: " + std::to_string(pool.used()) + " of " +
               std::to_string(pool.size) + " addresses are used");
  }
}

std::vector<CapacityWatch::Problem> CapacityWatch::problems() const {
  std::vector<Problem> found;
  for (const auto& [name, entry] : networks_) {
    if (!entry.trouble.empty()) found.push_back({name, entry.trouble});
    for (const auto& pool : entry.pools)
      if (pool.nearly_full()) found.push_back({name, ipam::capacity_warning(name, pool)});
  }
  return found;
}

std::string CapacityWatch::metrics() const {
  std::string size =
      "# HELP fairlead_pool_size Addresses this node can give of a subnet.\n# TYPE fairlead_pool_size gauge\n";
  std::string used = "# HELP fairlead_pool_used Of these, leased or reserved.\n# TYPE fairlead_pool_used gauge\n";
  for (const auto& [name, entry] : networks_)
    for (const auto& pool : entry.pools) {
      size += sample("fairlead_pool_size", name, pool, pool.size);
      used += sample("fairlead_pool_used", name, pool, pool.used());
    }
  return size + used;
}

}  // namespace fairlead::agent
