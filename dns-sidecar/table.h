// An immutable hash table from byte strings to records that can be changed cheaply: with() gives a new table that
// shares every untouched shard with the old one, so a change of one name among 60,000 copies some 50 pointers.
// T needs `uint64_t hash` and `std::string key`. Threads: a table never changes; any number may read it.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace fairlead::dns {

template <class T>
class Table {
 public:
  using Record = std::shared_ptr<const T>;
  struct Change {
    uint64_t hash = 0;
    std::string key;
    Record record;  // empty: removed
  };

  const T* find(uint64_t hash, std::string_view key) const {
    if (shards_.empty()) return nullptr;
    const Shard* shard = shards_[shard_of(hash, shards_.size())].get();
    if (!shard) return nullptr;
    const size_t mask = shard->slots.size() - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
      const Slot& slot = shard->slots[i];
      if (!slot.record) return nullptr;
      if (slot.hash == hash && slot.record->key == key) return slot.record.get();
    }
  }

  size_t size() const { return size_; }

  template <class F>
  void each(F f) const {
    for (const auto& shard : shards_) {
      if (!shard) continue;
      for (const auto& slot : shard->slots)
        if (slot.record) f(*slot.record);
    }
  }

  // Several changes of one key: the last counts.
  Table with(std::vector<Change> changes) const {
    Table next = *this;
    size_t shards = std::max<size_t>(shards_.size(), 1);
    while (size_ + changes.size() > shards * kPerShard) shards *= 4;
    if (shards != shards_.size()) next.split(shards);
    std::stable_sort(changes.begin(), changes.end(), [&](const Change& a, const Change& b) {
      return shard_of(a.hash, shards) < shard_of(b.hash, shards);
    });
    for (size_t i = 0; i < changes.size();) {
      size_t shard = shard_of(changes[i].hash, shards), end = i;
      while (end < changes.size() && shard_of(changes[end].hash, shards) == shard) end++;
      next.replace(shard, changes.data() + i, changes.data() + end);
      i = end;
    }
    return next;
  }

 private:
  static constexpr size_t kPerShard = 32;
  struct Slot {
    uint64_t hash = 0;
    Record record;
  };
  struct Shard {
    std::vector<Slot> slots;  // a power of two, at most half full
    size_t used = 0;
  };

  // The low bits choose the slot, the high ones the shard.
  static size_t shard_of(uint64_t hash, size_t shards) { return hash >> 32 & (shards - 1); }

  static std::shared_ptr<const Shard> make_shard(std::vector<Slot>&& records) {
    if (records.empty()) return nullptr;
    auto shard = std::make_shared<Shard>();
    size_t slots = 2;
    while (slots < records.size() * 2) slots *= 2;
    shard->slots.resize(slots);
    shard->used = records.size();
    for (auto& record : records) {
      size_t i = record.hash & (slots - 1);
      while (shard->slots[i].record) i = (i + 1) & (slots - 1);
      shard->slots[i] = std::move(record);
    }
    return shard;
  }

  void replace(size_t index, Change* begin, Change* end) {
    std::vector<Slot> records;
    if (const auto& old = shards_[index]) {
      for (const auto& slot : old->slots) {
        bool touched = slot.record && std::any_of(begin, end, [&](const Change& c) {
                         return c.hash == slot.hash && c.key == slot.record->key;
                       });
        if (slot.record && !touched) records.push_back(slot);
      }
      size_ -= old->used;
    }
    for (Change* c = begin; c != end; c++) {
      bool later = std::any_of(c + 1, end, [&](const Change& d) { return d.hash == c->hash && d.key == c->key; });
      if (c->record && !later) records.push_back({c->hash, std::move(c->record)});
    }
    size_ += records.size();
    shards_[index] = make_shard(std::move(records));
  }

  void split(size_t count) {
    std::vector<std::vector<Slot>> parts(count);
    for (const auto& shard : shards_) {
      if (!shard) continue;
      for (const auto& slot : shard->slots)
        if (slot.record) parts[shard_of(slot.hash, count)].push_back(slot);
    }
    shards_.clear();
    for (auto& part : parts) shards_.push_back(make_shard(std::move(part)));
  }

  std::vector<std::shared_ptr<const Shard>> shards_;
  size_t size_ = 0;
};

}  // namespace fairlead::dns
