#include "cluster/feed.h"

#include <algorithm>
#include <chrono>

namespace fairlead::cluster {
namespace {

constexpr size_t kEvents = 20000;

}  // namespace

void Feed::push(EtcdEvent event) {
  if (event.value)
    documents_[event.key] = *event.value;
  else
    documents_.erase(event.key);
  events_.push_back(std::move(event));
  if (events_.size() > kEvents) {
    oldest_ = events_.front().revision;  // a revision may be cut in two: its readers begin again
    events_.pop_front();
  }
}

void Feed::replace(Documents documents, int64_t revision) {
  std::lock_guard lock(mutex_);
  if (revision < revision_ || revision_ == 0) {
    events_.clear();
    documents_ = std::move(documents);
    oldest_ = revision_ = revision;
  } else {
    std::vector<EtcdEvent> differences;
    for (const auto& [key, value] : documents_)
      if (!documents.count(key)) differences.push_back({key, std::nullopt, revision});
    for (auto& [key, value] : documents) {
      auto known = documents_.find(key);
      if (known == documents_.end() || known->second != value) differences.push_back({key, value, revision});
    }
    for (auto& event : differences) push(std::move(event));
    // Readers that are at this revision already would not see them.
    if (!differences.empty() && revision == revision_) oldest_ = revision;
    revision_ = revision;
  }
  changed_.notify_all();
}

void Feed::apply(const std::vector<EtcdEvent>& events, int64_t revision) {
  std::lock_guard lock(mutex_);
  const int64_t known = revision_;
  for (const auto& event : events) {
    if (event.revision <= known) continue;
    push(event);
    revision_ = std::max(revision_, event.revision);
  }
  revision_ = std::max(revision_, revision);
  changed_.notify_all();
}

int64_t Feed::revision() const {
  std::lock_guard lock(mutex_);
  return revision_;
}

std::optional<std::string> Feed::get(const std::string& key) const {
  std::lock_guard lock(mutex_);
  auto found = documents_.find(key);
  return found == documents_.end() ? std::nullopt : std::optional(found->second);
}

Feed::Snapshot Feed::snapshot(const std::function<bool(const std::string&)>& wanted) const {
  std::lock_guard lock(mutex_);
  Snapshot snapshot;
  for (const auto& [key, value] : documents_)
    if (wanted(key)) snapshot.documents.emplace_hint(snapshot.documents.end(), key, value);
  snapshot.revision = revision_;
  return snapshot;
}

Feed::Step Feed::wait(int64_t after, int ms) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::milliseconds(ms), [&] { return revision_ != after || after < oldest_; });
  return step_after(after);
}

Feed::Step Feed::catch_up(int64_t after, const Wanted& wanted, Documents& documents) const {
  std::lock_guard lock(mutex_);
  for (const auto& [key, value] : documents_)
    if (wanted(key)) documents.emplace_hint(documents.end(), key, value);
  return step_after(after);
}

// With the lock.
Feed::Step Feed::step_after(int64_t after) const {
  Step step;
  step.revision = revision_;
  step.lost = after < oldest_ || after > revision_;
  if (step.lost) return step;
  auto first = std::upper_bound(events_.begin(), events_.end(), after,
                                [](int64_t revision, const EtcdEvent& event) { return revision < event.revision; });
  step.events.assign(first, events_.end());
  return step;
}

bool Feed::reach(int64_t revision, int ms) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::milliseconds(ms), [&] { return revision_ >= revision; });
}

}  // namespace fairlead::cluster
