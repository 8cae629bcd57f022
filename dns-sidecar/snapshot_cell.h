// Where the newest snapshot stands. Readers look at version() once per batch, which costs nothing while it is the same.
// Threads: one writer, any number of readers.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "dns-sidecar/zone.h"

namespace fairlead::dns {

class SnapshotCell {
 public:
  void set(std::shared_ptr<const Snapshot> snapshot) {
    std::lock_guard lock(mutex_);
    version_.store(snapshot->version, std::memory_order_release);
    // The old one is freed by whoever drops it last; outside the lock when that is us.
    snapshot_.swap(snapshot);
  }
  uint64_t version() const { return version_.load(std::memory_order_acquire); }
  std::shared_ptr<const Snapshot> get() const {
    std::lock_guard lock(mutex_);
    return snapshot_;
  }

 private:
  mutable std::mutex mutex_;
  std::atomic<uint64_t> version_{0};
  std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<Snapshot>();
};

}  // namespace fairlead::dns
