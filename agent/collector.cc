#include "agent/collector.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/file.h"
#include "base/log.h"
#include "base/names.h"
#include "ipam/ipam.h"
#include "overlay/life.h"
#include "overlay/names.h"
#include "state/netns_id.h"
#include "state/store.h"

namespace fairlead::agent {
namespace {

using namespace std::chrono_literals;

constexpr const char* kOwnIpam = "fairlead-ipam";
constexpr std::chrono::milliseconds kShortestSweep = 250ms, kLongestSweep = 15s;
constexpr int64_t kAbandonedMs = 60000;

// nullopt: an ADD, a DEL or a GC of it is running.
Result<std::optional<Fd>> lock_attachment(const Paths& paths, const std::string& network, const std::string& container,
                                          const std::string& ifname) {
  auto held = lock_key(paths.attachments_lock(), attachment_lock_key(network, container, ifname), 0);
  if (held) return std::optional<Fd>(std::move(*held));
  if (held.error().sys == EWOULDBLOCK) return std::nullopt;
  return fail(held.error());
}

std::string text_of(const std::string& network, const std::string& container, const std::string& ifname) {
  return "network " + network + ", container " + std::string(short_id(container)) + " " + ifname;
}

// Names beginning with ".tmp-" are files being written (base/file.cc); nobody writes for a minute.
void remove_abandoned(const std::string& folder) {
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), ::closedir);
  while (dirent* entry = dir ? ::readdir(dir.get()) : nullptr) {
    const std::string name = entry->d_name;
    if (!name.starts_with(".tmp-")) continue;
    const std::string path = folder + "/" + name;
    auto age = file_age_ms(path);
    if (age && *age && **age > kAbandonedMs && ::unlink(path.c_str()) == 0)
      log_info(path + ": left by a writer that was killed; removed");
  }
}

void remove_abandoned(const Paths& paths) {
  for (const auto& folder : {paths.run, paths.routers(), paths.networks(), paths.state}) remove_abandoned(folder);
  for (const auto& parent : {paths.endpoints(), paths.services(), paths.health(), paths.run + "/ports"}) {
    auto networks = list_folders(parent);
    if (!networks) continue;
    for (const auto& network : *networks) remove_abandoned(parent + "/" + network);
  }
}

}  // namespace

Result<void> Collector::endpoint(const Endpoint& e, Clock::time_point now) {
  FL_TRY(bool alive, overlay::lives(paths_, e));
  if (alive) return keep(e), Result<void>();
  auto since = dead_endpoints_.try_emplace({e.network, e.key()}, now).first->second;
  if (now - since < grace_) return {};
  FL_TRY(auto lock, lock_attachment(paths_, e.network, e.container, e.ifname));
  if (!lock) return {};
  // What has its name by now may be another attachment's.
  FL_TRY(auto current, load_endpoint(paths_, e.network, e.container, e.ifname));
  if (!current || current->netns != e.netns || current->netns_inode != e.netns_inode) return keep(e), Result<void>();
  FL_TRY(alive, overlay::lives(paths_, *current));
  if (alive) return keep(e), Result<void>();
  FL_CHECK(remove_endpoint(paths_, e.network, e.container, e.ifname));
  if (e.ipam == kOwnIpam || e.ipam.empty()) FL_CHECK(ipam::release(paths_, e.network, e.container, e.ifname));
  keep(e);
  endpoints_++;
  log_info(text_of(e.network, e.container, e.ifname) + ": its namespace " + e.netns +
           " is gone; endpoint and addresses released");
  return {};
}

Result<void> Collector::sweep(const StateView& view, Clock::time_point now) {
  std::erase_if(dead_endpoints_, [&](const auto& entry) { return !view.endpoints().count(entry.first); });
  if (now < next_sweep_) return {};
  next_sweep_ = now + std::clamp(grace_ / 4, kShortestSweep, kLongestSweep);
  remove_abandoned(paths_);
  before_ = std::exchange(current_, {});
  return sweep_leases(view, now);
}

Result<void> Collector::sweep_leases(const StateView& view, Clock::time_point now) {
  std::set<std::pair<std::string, std::string>> known;
  for (const auto& [key, e] : view.endpoints())
    known.insert({e->network, ipam::LeaseStore::owner_name(e->container, e->ifname)});
  FL_TRY(auto folders, list_folders(paths_.lease_owners()));
  Result<void> problem;
  for (const auto& folder : folders) {
    ipam::LeaseStore::Collection collection;
    collection.min_age_ms = grace_.count();
    collection.known = [&](const std::string& name) { return known.count({folder, name}) != 0; };
    collection.judge = [&](const ipam::Owner& owner) { return judge(folder, owner, now); };
    auto done = ipam::LeaseStore::of_folder(paths_, folder).collect(collection);
    if (!done && problem) problem = std::move(done);
  }
  return problem;
}

bool Collector::due(const std::string& subject, Clock::time_point now) {
  auto known = before_.dead.find(subject);
  auto since = current_.dead.try_emplace(subject, known == before_.dead.end() ? now : known->second).first->second;
  return now - since >= grace_;
}

std::optional<Fd> Collector::judge(const std::string& folder, const ipam::Owner& owner, Clock::time_point now) {
  const std::string subject = folder + "/" + ipam::LeaseStore::owner_name(owner.container, owner.ifname) + " " +
                              std::to_string(owner.netns_inode) + " " + owner.netns;
  std::optional<Fd> guard;
  if (owner.by_fairlead && is_object_name(folder)) {
    guard = judge_own(folder, owner, now);
  } else if (judge_foreign(subject, owner, now)) {
    guard = Fd();
  }
  if (!guard) return std::nullopt;
  leases_++;
  log_info(text_of(folder, owner.container, owner.ifname) + ": nothing is left that could use its addresses; released");
  return guard;
}

// What cannot be looked at is kept; the next sweep looks again.
std::optional<Fd> Collector::judge_own(const std::string& network, const ipam::Owner& owner, Clock::time_point now) {
  auto lock = lock_attachment(paths_, network, owner.container, owner.ifname);
  if (!lock || !*lock) return std::nullopt;
  auto document = load_endpoint(paths_, network, owner.container, owner.ifname);
  if (!document || *document) return std::nullopt;
  auto linked = overlay::has_host_end(paths_, network, overlay::host_ifname(network, owner.container, owner.ifname));
  if (!linked || *linked) return std::nullopt;
  if (!due(network + "/" + ipam::LeaseStore::owner_name(owner.container, owner.ifname), now)) return std::nullopt;
  return std::move(*lock);
}

// A path that leads nowhere here proves nothing: the runtime may live in another mount namespace. One that led to the
// very namespace before does.
bool Collector::judge_foreign(const std::string& subject, const ipam::Owner& owner, Clock::time_point now) {
  const bool seen = before_.seen.count(subject) != 0;
  const auto state = owner.netns_inode ? netns_state(owner.netns, owner.netns_inode) : NetnsState::kUnknown;
  if (seen || state == NetnsState::kThere) current_.seen.insert(subject);
  return state == NetnsState::kGone && seen && due(subject, now);
}

}  // namespace fairlead::agent
