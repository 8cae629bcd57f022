// BlockKeeper: what it does about a store that may be an older one (cluster/roll_call.h).
#include <algorithm>
#include <cerrno>

#include <nlohmann/json.hpp>

#include "agent/block_keeper.h"
#include "base/log.h"
#include "cluster/block_plan.h"
#include "cluster/channel.h"
#include "cluster/roll_call.h"
#include "state/store.h"

namespace fairlead::agent {
namespace {

using cluster::now_ms;

constexpr int kAskMs = 10000;
constexpr int64_t kTellMs = 2000, kHeldMs = 5000;

}  // namespace

// A connection that was idle may have been closed; one that has failed is not used again.
Result<Json> BlockKeeper::ask_managers(const Json& request) {
  if (!managers_) {
    FL_TRY(auto connection, member_.client().connect());
    managers_.emplace(std::move(connection));
  }
  asked_ms_ = now_ms();
  auto answer = managers_->channel.ask(request, kAskMs);
  if (!answer) managers_.reset();
  return answer;
}

// The managers wait until everybody has told what he has. Said again until they no longer wait.
void BlockKeeper::tell() {
  for (const auto& [name, entry] : entries_)
    if (entry.pending || entry.listed_ms == 0) return;
  if (told_to_ == awaited_ && now_ms() < told_ms_ + kTellMs) return;
  told_ms_ = now_ms();
  auto told = ask_managers({{"op", "told"}, {"id", awaited_}});
  if (!told) return log_debug(told.error().message);
  if (told_to_ != awaited_) log_info("cluster: the managers know this node's address blocks");
  told_to_ = awaited_;
}

// The store has gone back, and this node does not follow it before somebody says so. The managers hear at once what it
// has, so that nobody else gets it, and what another has been given meanwhile is given here no more.
void BlockKeeper::tell_while_held() {
  if (now_ms() < held_ms_) return;
  held_ms_ = now_ms() + kHeldMs;
  auto networks = list_folders(paths_.blocks());
  for (const auto& name : networks ? *networks : std::vector<std::string>()) {
    if (stop_.is_set()) return;
    Entry& entry = entries_[name];
    entry.network.name = name;
    if (!entry.file) load_file(entry);
    if (!entry.file) continue;
    if (auto told = tell_blocks(entry); !told) log_debug(told.error().message);
  }
  loaded_ = false;  // what is followed again is looked at from the beginning
  managers_.reset();
}

Result<void> BlockKeeper::tell_blocks(Entry& entry) {
  Json held = Json::array();
  for (const auto& block : entry.file->blocks) held.push_back(block.to_string());
  FL_TRY(Json answer, ask_managers({{"op", "claim"}, {"network", entry.network.name}, {"held", std::move(held)}}));
  std::string trouble;
  FL_CHECK(take_refused(entry, answer, trouble));
  if (!trouble.empty()) say(entry, trouble);
  return {};
}

// What was refused is not this node's, whatever its file says.
Result<void> BlockKeeper::take_refused(Entry& entry, const Json& answer, std::string& trouble) {
  auto blocks = entry.file ? entry.file->blocks : std::vector<Prefix>();
  for (const auto& item : answer.value("refused", Json::array())) {
    const std::string block = cluster::text_at(item, "block");
    if (auto prefix = Prefix::parse(block)) blocks = cluster::without(blocks, *prefix);
    entry.refused.push_back(block);
    entry.disputing = true;
    trouble = block + " is in use on this node, and belongs to node " + cluster::text_at(item, "node") +
              " in the cluster; stop the containers here that have addresses of it";
  }
  if (!entry.file || blocks == entry.file->blocks) return {};
  return write_file(entry, blocks, entry.file->giving);
}

// The file becomes what the store says. While the roll is called nothing is added: what the store says is this node's
// may have been given back, and be another's, since the copy was made.
Result<void> BlockKeeper::adopt(Entry& entry) {
  auto blocks = entry.usable();
  if (calling_) {
    std::vector<Prefix> both;
    for (const auto& had : entry.file ? entry.file->blocks : std::vector<Prefix>())
      for (const auto& block : blocks)
        if (had.overlaps(block)) both.push_back(had.length > block.length ? had : block);
    blocks = std::move(both);
    if (!entry.file && blocks.empty()) return {};
  }
  return write_file(entry, std::move(blocks), entry.file ? entry.file->giving : std::vector<Prefix>());
}

std::string BlockKeeper::dispute_of(const Entry& entry) {
  if (entry.disputed.empty()) return "";
  const auto& [part, node] = *entry.disputed.begin();
  return part.to_string() + " is in use on node " + node +
         ", too; stop the containers that have addresses of it there or here";
}

// What another node uses, too, and this one does not.
std::optional<Prefix> BlockKeeper::conceded_part(const Entry& entry) const {
  for (const auto& [part, node] : entry.disputed)
    if (std::none_of(entry.used.begin(), entry.used.end(),
                     [&part = part](const Address& a) { return part.contains(a); }))
      return part;
  return std::nullopt;
}

}  // namespace fairlead::agent
