// What the store holds, in memory, and its last changes: one watch of etcd feeds all nodes.
//
// Promise: a reader that takes the documents and then the changes after their revision has missed nothing; one that
// comes too late for the changes is told so.
// Threads: one writer, any number of readers. Keys are without the store's prefix.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cluster/etcd_codec.h"

namespace fairlead::cluster {

class Feed {
 public:
  using Documents = std::map<std::string, std::string>;

  // Everything there is, read at a revision. What differs from before becomes changes of that revision; a revision that
  // is lower than before (another store) makes every reader begin again.
  void replace(Documents documents, int64_t revision);
  // In the order in which they happened. Those up to the known revision are skipped.
  void apply(const std::vector<EtcdEvent>& events, int64_t revision);

  int64_t revision() const;  // 0: nothing read yet
  std::optional<std::string> get(const std::string& key) const;
  struct Snapshot {
    Documents documents;
    int64_t revision = 0;
  };
  using Wanted = std::function<bool(const std::string& key)>;
  Snapshot snapshot(const Wanted& wanted) const;

  struct Step {
    bool lost = false;  // changes after that revision are not known: take a snapshot
    std::vector<EtcdEvent> events;
    int64_t revision = 0;
  };
  // The changes after a revision; waits up to ms for the first one.
  Step wait(int64_t after, int ms) const;
  // The changes after a revision, and documents as they are after those.
  Step catch_up(int64_t after, const Wanted& wanted, Documents& documents) const;
  // Until the revision is reached or ms are over.
  bool reach(int64_t revision, int ms) const;

 private:
  void push(EtcdEvent event);
  Step step_after(int64_t after) const;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  Documents documents_;
  std::deque<EtcdEvent> events_;
  int64_t revision_ = 0;
  int64_t oldest_ = 0;  // all changes after it are in events_
};

}  // namespace fairlead::cluster
