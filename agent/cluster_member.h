// This node's part in a cluster inside fairlead-agent: started and stopped as state/cluster.json comes and goes
// (fairleadctl cluster init, join, leave).
//
// Threading: tick() and stop() from one thread. The threads behind are those of cluster/front.h (managers only),
// cluster/member.h and cluster/control.h; they end in stop().
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "agent/block_keeper.h"
#include "cluster/control.h"
#include "cluster/front.h"
#include "cluster/member.h"
#include "state/paths.h"

namespace fairlead::agent {

class ClusterMember {
 public:
  ClusterMember(Paths paths, std::chrono::milliseconds block_spare)
      : paths_(std::move(paths)), block_spare_(block_spare) {}
  ~ClusterMember() { stop(); }
  // Cheap; called twice a second. What cannot be started is logged once and tried again.
  void tick();
  void stop();

 private:
  Result<void> start(const cluster::Membership& self);
  Result<void> keep_keys(bool member);
  Paths paths_;
  std::chrono::milliseconds block_spare_;
  std::string told_;
  bool have_keys_ = false;
  std::unique_ptr<cluster::Front> front_;
  std::unique_ptr<cluster::Member> member_;
  std::unique_ptr<BlockKeeper> blocks_;
  std::unique_ptr<cluster::Control> control_;
};

}  // namespace fairlead::agent
