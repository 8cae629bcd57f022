#include "agent/cluster_member.h"

#include "base/log.h"

namespace fairlead::agent {

void ClusterMember::tick() {
  auto self = cluster::load_membership(paths_);
  Result<void> done;
  if (!self) {
    done = fail(self.error());  // what runs goes on
  } else if (*self && !control_) {
    done = start(**self);
  } else if (!*self && control_) {
    stop();
    done = cluster::forget_membership(paths_);
    if (done) log_info("cluster: this node has left");
  }
  if (!done && done.error().message != told_) log_error(done.error().with("cluster").message);
  told_ = done ? "" : done.error().message;
}

Result<void> ClusterMember::start(const cluster::Membership& self) {
  if (self.is_manager() && !front_) front_ = std::make_unique<cluster::Front>(paths_, self);
  if (!member_)
    member_ = std::make_unique<cluster::Member>(paths_, self, [this] {
      if (!front_) return;
      if (auto loaded = front_->reload(); !loaded) log_error(loaded.error().with("cluster").message);
    });
  FL_TRY(control_, cluster::Control::start(paths_, self, *member_));
  log_info("cluster: this node is " + self.role + " " + self.name + " of cluster " + self.cluster);
  return {};
}

void ClusterMember::stop() {
  control_.reset();
  member_.reset();
  front_.reset();
}

}  // namespace fairlead::agent
