#include "cluster/roll_call.h"

#include <algorithm>
#include <cerrno>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "cluster/channel.h"
#include "cluster/encoding.h"
#include "cluster/member_documents.h"
#include "cluster/registry.h"
#include "cluster/roles.h"
#include "state/node_record.h"

namespace fairlead::cluster {
namespace {

constexpr size_t kMaxFronts = 16, kIdBytes = 8;
constexpr int kAttempts = 10;
// Members that joined since the copy was made have numbers the store does not know of.
constexpr uint32_t kSkippedNumbers = 100;

std::string new_id() { return to_hex(random_bytes(kIdBytes)); }

bool has(const std::vector<std::string>& list, const std::string& one) {
  return std::find(list.begin(), list.end(), one) != list.end();
}

EtcdCompare unchanged_since(const std::optional<EtcdDocument>& stored) {
  return {stored ? EtcdCompare::kModifiedAt : EtcdCompare::kAbsent, store_key(kRollCall), "",
          stored ? stored->modified : 0};
}

std::string names_of(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

std::string encode(const RollCallDocument& call) {
  return dump_json({{"apiVersion", 1},
                    {"id", call.id},
                    {"restored", call.restored},
                    {"fronts", call.fronts},
                    {"waiting", call.waiting}});
}

Result<RollCallDocument> decode_roll_call(const std::string& text) {
  FL_TRY(Json json, parse_json(text, kRollCall));
  RollCallDocument call;
  ObjectReader r(json, kRollCall);
  r.required("id", call.id);
  r.optional("restored", call.restored);
  r.optional("fronts", call.fronts, kMaxFronts);
  r.optional("waiting", call.waiting, kMaxNodeNumber);
  FL_CHECK(r.finish());
  return call;
}

RollCall::RollCall(const EtcdClient& etcd, const Feed& feed, std::function<int64_t()> seen)
    : etcd_(etcd), feed_(feed), seen_(std::move(seen)) {
  close();
}

void RollCall::close() {
  std::lock_guard lock(mutex_);
  state_ = {new_id(), false, false};
}

RollCall::State RollCall::state() const {
  std::lock_guard lock(mutex_);
  return state_;
}

bool RollCall::is_open() const { return state().open; }

bool RollCall::announced() const {
  const State now = state();
  if (now.open || !now.called) return now.open;
  auto text = feed_.get(kRollCall);
  auto call = text ? decode_roll_call(*text) : fail("none");
  return call && has(call->fronts, now.run);
}

std::string RollCall::lineage() const {
  if (!is_open()) return "";
  auto json = parse_json(feed_.get(kLineage).value_or("{}"), kLineage);
  return json && json->is_object() ? text_at(*json, "id") : "";
}

Result<void> RollCall::begin() {
  FL_CHECK(etcd_.apply({}, {{store_key(kLineage), dump_json({{"apiVersion", 1}, {"id", state().run}})}}));
  std::lock_guard lock(mutex_);
  state_.open = true;
  return {};
}

// The keeper's; every half a second, and oftener while closed.
Result<void> RollCall::tend(int64_t now_ms) {
  State now = state();
  if (now.open && !feed_.get(kRollCall)) return {};
  FL_TRY(auto stored, etcd_.get(store_key(kRollCall)));
  std::optional<RollCallDocument> document;
  if (stored)
    if (auto decoded = decode_roll_call(stored->value)) document = std::move(*decoded);
  // One that cannot be read is called again.
  if (now.open ? stored && !document : !now.called || (stored && (!document || !has(document->fronts, now.run))))
    return call(stored, std::move(document), now_ms);
  if (!stored) {
    if (!now.open) log_info("cluster: address blocks can be claimed");
    std::lock_guard lock(mutex_);
    state_.open = true;
    return {};
  }
  if (now.open && !document->restored) return end(*stored, "");
  return reduce(*stored, std::move(*document), now_ms);
}

Result<std::vector<std::string>> RollCall::members() const {
  std::vector<std::string> names;
  FL_TRY(auto members, etcd_.range({store_key("members/"), prefix_end(store_key("members/"))}));
  for (const auto& stored : members.documents) {
    auto member = decode_member(stored.value);
    if (member && takes_part(member->role)) names.push_back(member->name);
  }
  return names;
}

// went_back: since this roll call it is certain that the store did. false: somebody was faster.
Result<bool> RollCall::write(const std::optional<EtcdDocument>& stored, const RollCallDocument& call, bool went_back) {
  std::vector<EtcdCompare> compares{unchanged_since(stored)};
  std::vector<EtcdChange> changes{{store_key(kRollCall), encode(call)}};
  FL_TRY(auto counter, etcd_.get(store_key("counters/node")));
  if (went_back && counter) {
    const auto number = static_cast<uint32_t>(strtoul(counter->value.c_str(), nullptr, 10)) + kSkippedNumbers;
    compares.push_back({EtcdCompare::kModifiedAt, counter->key, "", counter->modified});
    if (number < kMaxNodeNumber) changes.push_back({counter->key, std::to_string(number)});
  }
  FL_TRY(auto applied, etcd_.apply(compares, changes));
  if (applied.done && went_back)
    log_warning("the store has gone back in time; no address block is given until all nodes told theirs");
  return applied.done;
}

Result<void> RollCall::call(const std::optional<EtcdDocument>& stored, std::optional<RollCallDocument> before,
                            int64_t now_ms) {
  RollCallDocument call;
  if (before) call = std::move(*before);
  call.id = new_id();
  if (!has(call.fronts, state().run)) call.fronts.push_back(state().run);
  if (call.fronts.size() > kMaxFronts) call.fronts.erase(call.fronts.begin());
  FL_TRY(call.waiting, members());
  FL_TRY(auto store, etcd_.range({store_key("cluster/settings"), "", 1, 0}));
  if (store.documents.empty()) return fail("the store holds no cluster", ENOENT);
  const bool was_certain = call.restored;
  call.restored = call.restored || store.revision < seen_();
  FL_TRY(bool written, write(stored, call, call.restored && !was_certain));
  if (!written) return {};  // next time
  since_id_ = call.id;
  since_ms_ = now_ms;
  std::lock_guard lock(mutex_);
  state_.called = true;
  return {};
}

// lineage: of the store from now on; empty: as it is.
Result<void> RollCall::end(const EtcdDocument& stored, const std::string& lineage) {
  std::vector<EtcdChange> changes{{stored.key, std::nullopt}};
  if (!lineage.empty()) changes.push_back({store_key(kLineage), dump_json({{"apiVersion", 1}, {"id", lineage}})});
  FL_CHECK(etcd_.apply({unchanged_since(stored)}, changes));
  return {};
}

bool RollCall::is_waited_for(const std::string& name, const RollCallDocument& call, int64_t waited_ms) const {
  if (call.restored || waited_ms < kAwayMs) return true;
  if (waited_ms < kSilentMs && feed_.get("live/" + name)) return true;
  log_warning("address blocks are given without " + name + " having told which it has: it was away since the start");
  return false;
}

Result<void> RollCall::reduce(const EtcdDocument& stored, RollCallDocument call, int64_t now_ms) {
  if (since_id_ != call.id) {
    since_id_ = call.id;
    since_ms_ = now_ms;
  }
  std::set<std::string> told;
  {
    std::lock_guard lock(mutex_);
    if (told_to_ == call.id) told = told_;
  }
  std::vector<std::string> waiting;
  FL_TRY(auto members, this->members());
  for (auto& name : call.waiting)
    if (!told.count(name) && has(members, name) && is_waited_for(name, call, now_ms - since_ms_))
      waiting.push_back(std::move(name));
  if (waiting.empty()) return end(stored, call.id);
  if (waiting.size() == call.waiting.size()) return {};
  call.waiting = std::move(waiting);
  log_debug("cluster: waiting for " + names_of(call.waiting));
  FL_CHECK(etcd_.apply({unchanged_since(stored)}, {{stored.key, encode(call)}}));
  return {};
}

Result<void> RollCall::note_restored() {
  for (int i = 0; i < kAttempts; i++) {
    FL_TRY(auto stored, etcd_.get(store_key(kRollCall)));
    auto before = stored ? decode_roll_call(stored->value) : fail("none");
    if (before && before->restored) return {};
    RollCallDocument call;
    if (before) call = std::move(*before);
    call.id = new_id();
    call.restored = true;
    FL_TRY(call.waiting, members());
    FL_TRY(bool written, write(stored, call, true));
    if (written) return {};
  }
  return fail("the roll call is changed by many; try again", EAGAIN);
}

void RollCall::told(const Identity& who, const std::string& id) {
  std::lock_guard lock(mutex_);
  if (told_to_ != id) told_.clear();
  told_to_ = id;
  told_.insert(who.name);
}

Result<std::optional<RollCallDocument>> RollCall::waiting(std::vector<EtcdCompare>& unchanged) const {
  const State before = state();
  FL_TRY(auto stored, etcd_.get(store_key(kRollCall)));
  unchanged.push_back(unchanged_since(stored));
  if (stored) {
    FL_TRY(RollCallDocument call, decode_roll_call(stored->value));
    if (before.open && !call.restored) return std::nullopt;
    return call;
  }
  // What etcd said is of the store that state() is about only if it was not started anew in between.
  if ((before.open || before.called) && state().run == before.run) return std::nullopt;
  return RollCallDocument();
}

}  // namespace fairlead::cluster
