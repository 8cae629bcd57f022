#include "agent/block_keeper.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/log.h"
#include "cluster/block_plan.h"
#include "cluster/channel.h"
#include "cluster/document_check.h"
#include "ipam/blocks.h"
#include "ipam/ipam.h"
#include "ipam/lease.h"
#include "ipam/reservations.h"
#include "ipam/sticky.h"
#include "overlay/host_prefixes.h"
#include "state/store.h"

namespace fairlead::agent {
namespace {

using cluster::now_ms;

constexpr int kPassMs = 200, kReachMs = 3000;
constexpr int64_t kListMs = 10000, kIdleMs = 5000, kEndpointsMs = 30000, kAgainMs = 5000, kWantedMs = 1500,
                  kHostMs = 5000, kLookMs = 1000;
constexpr size_t kMaxHeld = 256;

std::string state_of(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) return "";
  return std::to_string(st.st_ino) + ":" + std::to_string(st.st_mtim.tv_sec) + "." + std::to_string(st.st_mtim.tv_nsec);
}

// How much should be free before another block is claimed.
int64_t reserve_of(int64_t size) { return std::max<int64_t>(2, size / 4); }

Json numbers(bool four, bool six) {
  Json list = Json::array();
  if (four) list.push_back(4);
  if (six) list.push_back(6);
  return list;
}

bool holds(const std::vector<Prefix>& blocks, const Address& address) {
  return std::any_of(blocks.begin(), blocks.end(), [&](const Prefix& block) { return block.contains(address); });
}

}  // namespace

std::vector<Prefix> BlockKeeper::Entry::usable() const {
  std::vector<Prefix> blocks = stored;
  if (file)
    for (const auto& part : file->giving) blocks = cluster::without(blocks, part);
  for (const auto& [part, node] : disputed) blocks = cluster::without(blocks, part);
  return blocks;
}

BlockKeeper::BlockKeeper(Paths paths, cluster::Membership self, cluster::Member& member,
                         std::chrono::milliseconds spare)
    : paths_(std::move(paths)), self_(std::move(self)), member_(member), spare_ms_(spare.count()) {
  thread_ = std::thread([this] {
    do pass();
    while (stop_.sleep_ms(kPassMs));
  });
}

BlockKeeper::~BlockKeeper() {
  stop_.set();
  thread_.join();
}

void BlockKeeper::pass() {
  const std::string state = member_.status().state;
  if (state == "evicted")
    return remove_all_own(true,
                          "this node was removed from the cluster; leave it with: fairleadctl cluster leave --force");
  if (state == "held") return tell_while_held();
  if (member_.known().revision() == 0) return;
  const int64_t snapshots = member_.snapshots();
  auto step = member_.known().wait(seen_, 0);
  if (!loaded_ || snapshots != snapshots_ || step.lost || !step.events.empty()) reload();
  snapshots_ = snapshots;
  if (!step.lost) seen_ = std::max(seen_, step.revision);
  for (auto& [name, entry] : entries_) {
    if (stop_.is_set()) return;
    if (auto done = tend(entry, state == "synced"); !done) say(entry, done.error().message);
  }
  if (!awaited_.empty() && state == "synced") tell();
  if (managers_ && now_ms() - asked_ms_ > kIdleMs) managers_.reset();
}

Result<void> BlockKeeper::list_used(Entry& entry, bool everything) {
  const std::string& name = entry.network.name;
  const int64_t now = now_ms();
  if (everything || entry.endpoints_ms == 0 || now - entry.endpoints_ms >= kEndpointsMs) {
    // Of other IPAM plugins there is no lease.
    entry.endpoints_ms = now;
    entry.of_endpoints.clear();
    FL_TRY(auto endpoints, list_documents(paths_.endpoints(name)));
    for (const auto& file : endpoints) {
      auto endpoint = load_endpoint_file(paths_.endpoints(name) + "/" + file + ".json");
      if (endpoint && *endpoint)
        for (const auto& address : (*endpoint)->addresses) entry.of_endpoints.push_back(address);
    }
  }
  entry.leases = state_of(paths_.leases(name));
  entry.listed_ms = now;
  entry.look_ms = 0;
  FL_TRY(entry.used, ipam::LeaseStore(paths_, name).leased());
  entry.used.insert(entry.used.end(), entry.of_endpoints.begin(), entry.of_endpoints.end());
  std::sort(entry.used.begin(), entry.used.end());
  entry.used.erase(std::unique(entry.used.begin(), entry.used.end()), entry.used.end());
  return {};
}

Result<void> BlockKeeper::write_file(Entry& entry, std::vector<Prefix> blocks, std::vector<Prefix> giving) {
  NodeBlocks document;
  document.network = entry.network.name;
  document.node = self_.name;
  document.number = self_.number;
  document.blocks = std::move(blocks);
  document.giving = std::move(giving);
  FL_TRY(std::string text, cluster::with_mark(encode(document), self_.cluster));
  if (text != entry.text) {
    FL_CHECK(make_folders(paths_.blocks(document.network)));
    FL_CHECK(replace_file(paths_.blocks(document.network, self_.name), text, Durability::kDurable));
  }
  entry.text = std::move(text);
  entry.file = std::move(document);
  return {};
}

BlockKeeper::Family BlockKeeper::count(const Entry& entry, const Prefix& subnet) const {
  Family family;
  for (auto& set : ipam::range_sets(entry.network)) {
    if (set.family() != subnet.family()) continue;
    std::vector<ipam::RangeSet> sets{set};
    ipam::restrict_to(sets, entry.usable());
    family.size = sets[0].capacity();
    auto inside = [&](const Address& a) { return sets[0].range_of(a) && sets[0].refusal(a).empty(); };
    family.free = family.size - std::count_if(entry.used.begin(), entry.used.end(), inside);
    auto reservations = ipam::Reservations::open(paths_, entry.network.name);
    if (!reservations) continue;
    for (const auto& [address, name] : reservations->list())
      if (inside(address) && !std::binary_search(entry.used.begin(), entry.used.end(), address)) family.free--;
  }
  family.need = family.free < reserve_of(family.size);
  auto wanted = file_age_ms(ipam::wanted_path(paths_, entry.network.name));
  family.urgent = family.free <= 0 && wanted && *wanted && **wanted < kWantedMs;
  return family;
}

// What this node goes by and the store does not know: blocks a store that was put back has forgotten, addresses
// containers had before the node was a member.
std::vector<std::string> BlockKeeper::untold(const Entry& entry) const {
  std::vector<std::string> held;
  if (entry.file)
    for (const auto& block : entry.file->blocks)
      if (!cluster::covers(entry.stored, block)) held.push_back(block.to_string());
  for (const auto& address : entry.used) {
    const Prefix* subnet = entry.network.subnet(address.family());
    if (held.size() >= kMaxHeld) break;
    if (subnet && subnet->contains(address) && !holds(entry.stored, address))
      held.push_back(Prefix{address, address.bits()}.to_string());
  }
  return held;
}

std::string BlockKeeper::overlap(const Entry& entry) {
  if (now_ms() >= prefixes_ms_) {
    prefixes_ms_ = now_ms() + kHostMs;
    if (auto prefixes = overlay::host_prefixes()) {
      host_.clear();
      for (auto& one : *prefixes) host_.emplace_back(one.prefix, std::move(one.what));
    }
  }
  for (const auto& subnet : entry.network.subnets)
    for (const auto& [prefix, what] : host_)
      if (prefix.overlaps(subnet))
        return "its subnet " + subnet.to_string() + " overlaps this node's " + what +
               "; remove that, or use another network on this node";
  return "";
}

// What the others need more than this node, or what it has had no use for.
std::optional<Prefix> BlockKeeper::spare_part(Entry& entry) {
  const auto blocks = entry.usable();
  const int64_t now = now_ms();
  std::vector<Address> used = entry.used, kept = used;
  if (auto reservations = ipam::Reservations::open(paths_, entry.network.name))
    for (const auto& [address, name] : reservations->list()) used.push_back(address);
  for (const auto& [address, name] : ipam::StickyStore(paths_, entry.network.name).list()) kept.push_back(address);
  kept.insert(kept.end(), used.begin(), used.end());
  for (const auto& subnet : entry.network.subnets) {
    const std::string& asked = subnet.family() == AF_INET ? entry.asked4 : entry.asked6;
    if (asked.empty()) continue;
    const Family family = count(entry, subnet);
    const int64_t spare = family.free - 2 * reserve_of(family.size);
    int64_t most = asked == "now" ? std::max<int64_t>(1, family.free / 2) : std::min(family.free / 2, spare);
    if (family.free < 1 || most < 1 || family.urgent) continue;
    if (auto part = cluster::unused_part(blocks, subnet, asked == "now" ? used : kept, most)) return part;
  }
  std::map<Prefix, int64_t> empty;
  std::map<int, int> count_of;
  for (const auto& block : blocks)
    if (std::none_of(kept.begin(), kept.end(), [&](const Address& a) { return block.contains(a); })) {
      auto since = entry.empty_since.find(block);
      empty[block] = since == entry.empty_since.end() ? now : since->second;
      count_of[block.family()]++;
    }
  entry.empty_since = empty;
  for (const auto& [block, since] : empty) {
    if (now - since < spare_ms_ || count_of[block.family()] < 2) continue;
    const Family family = count(entry, *entry.network.subnet(block.family()));
    const int64_t here = block.host_bits() >= 62 ? INT64_MAX : int64_t{1} << block.host_bits();
    if (family.free - here >= 2 * reserve_of(family.size - here)) return block;
  }
  return std::nullopt;
}

// The file first, then leases, then the managers.
Result<void> BlockKeeper::give(Entry& entry, const Prefix& part) {
  auto giving = entry.file ? entry.file->giving : std::vector<Prefix>();
  if (std::find(giving.begin(), giving.end(), part) == giving.end()) giving.push_back(part);
  FL_CHECK(write_file(entry, cluster::without(entry.usable(), part), giving));
  FL_CHECK(list_used(entry, true));
  if (std::any_of(entry.used.begin(), entry.used.end(), [&](const Address& a) { return part.contains(a); })) {
    std::erase(giving, part);  // an ADD was faster
    entry.file->giving = giving;
    return write_file(entry, entry.usable(), giving);
  }
  return ask(entry, {{"give", {part.to_string()}}});
}

// In the same request what this node needs, so that the store always says what it wants now.
Result<void> BlockKeeper::ask(Entry& entry, const Json& more) {
  Family families[2];
  for (const auto& subnet : entry.network.subnets) families[subnet.family() == AF_INET6] = count(entry, subnet);
  const auto& [four, six] = families;
  const bool giving = more.contains("give");
  Json request{{"op", "claim"},
               {"network", entry.network.name},
               {"need", numbers(four.need && !giving, six.need && !giving)},
               {"urgent", numbers(four.urgent, six.urgent)}};
  request.update(more);
  entry.ask_ms = now_ms() + (four.urgent || six.urgent ? kPassMs : kAgainMs);
  FL_TRY(Json answer, ask_managers(request));
  member_.reach(cluster::number_at(answer, "revision"), kReachMs);
  std::string trouble;
  FL_CHECK(take_refused(entry, answer, trouble));
  const bool waits = answer.contains("waiting");
  if (trouble.empty() && waits && (four.need || six.need)) {
    std::string names;
    for (const auto& name : answer["waiting"])
      if (name.is_string()) names += (names.empty() ? "" : ", ") + name.get<std::string>();
    if (names.empty()) names = "they ask";
    trouble =
        cluster::flag_at(answer, "restored")
            ? "the managers' store has gone back in time; no block is given before these nodes have told theirs: " +
                  names + " (fairleadctl cluster accept there, or cluster evict)"
            : "the managers have just started; no block is given before these nodes have told theirs, or were away "
              "for half a minute: " +
                  names;
  }
  if (trouble.empty() && answer.value("granted", Json::array()).empty() &&
      ((four.need && four.free <= 0) || (six.need && six.free <= 0)) && !giving && !waits)
    trouble = "all addresses are other nodes'; remove containers, or make a network with a larger subnet";
  say(entry, trouble.empty() ? dispute_of(entry) : trouble);
  return {};
}

Result<void> BlockKeeper::tend(Entry& entry, bool can_ask) {
  const int64_t now = now_ms();
  if (entry.listed_ms == 0 || now - entry.listed_ms >= kListMs ||
      entry.leases != state_of(paths_.leases(entry.network.name)))
    FL_CHECK(list_used(entry, false));
  const std::string wanted = state_of(ipam::wanted_path(paths_, entry.network.name));
  if (now < entry.look_ms && wanted == entry.wanted) return {};
  entry.wanted = wanted;
  entry.look_ms = now + kLookMs;
  if (entry.file)
    std::erase_if(entry.file->giving, [&](const Prefix& part) { return !cluster::covers(entry.stored, part); });
  const auto held = untold(entry);
  const bool forgotten = entry.file && std::any_of(entry.file->blocks.begin(), entry.file->blocks.end(),
                                                   [&](const Prefix& b) { return !cluster::covers(entry.stored, b); });
  // What the store does not say is this node's is not given away before the managers have heard of it.
  if (!forgotten && !entry.stored.empty()) FL_CHECK(adopt(entry));
  entry.pending = std::any_of(held.begin(), held.end(), [&](const std::string& one) {
    return std::find(entry.refused.begin(), entry.refused.end(), one) == entry.refused.end();
  });
  if (!can_ask) return {};
  if ((!held.empty() || entry.disputing) && now >= entry.ask_ms) {
    const bool disputing = std::exchange(entry.disputing, false);  // refused again, it is again
    auto asked = ask(entry, {{"held", held}});
    if (!asked) entry.disputing = disputing;
    return asked;
  }
  if (auto part = conceded_part(entry); part && now >= entry.ask_ms) return ask(entry, {{"give", {part->to_string()}}});
  if (!entry.disputed.empty() && entry.trouble.empty()) say(entry, dispute_of(entry));
  std::string why = overlap(entry);
  if (!why.empty()) say(entry, why);
  if (!why.empty() && entry.stored.empty()) return {};
  if (entry.file && !entry.file->giving.empty())
    return now >= entry.ask_ms ? give(entry, entry.file->giving.front()) : Result<void>();
  if (auto part = spare_part(entry)) return give(entry, *part);
  bool differs = false;
  for (const auto& subnet : entry.network.subnets) {
    const Family family = count(entry, subnet);
    const std::string& wants = subnet.family() == AF_INET ? entry.wants4 : entry.wants6;
    differs = differs || family.need || (!wants.empty() && !family.need);
    if (family.urgent && wants != "now") entry.ask_ms = std::min(entry.ask_ms, now);
    if (family.urgent) entry.look_ms = 0;
  }
  if (differs && now >= entry.ask_ms) return ask(entry, Json::object());
  return {};
}

}  // namespace fairlead::agent
