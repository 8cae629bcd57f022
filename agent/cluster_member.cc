#include "agent/cluster_member.h"

#include "base/log.h"
#include "cluster/node_keys.h"
#include "cluster/roles.h"
#include "state/store.h"

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
  if (done) done = keep_keys(self && *self);
  if (!done && done.error().message != told_) log_error(done.error().with("cluster").message);
  told_ = done ? "" : done.error().message;
}

// A node of several has keys, whoever wrote the documents of the others.
Result<void> ClusterMember::keep_keys(bool member) {
  if (have_keys_) return {};
  if (!member) {
    FL_TRY(auto nodes, list_documents(paths_.nodes()));
    if (nodes.empty()) return {};
  }
  FL_TRY(auto keys, cluster::ensure_node_keys(paths_));
  have_keys_ = true;
  log_info("keys: this node's seal key is " + cluster::key_fingerprint(keys.seal));
  return {};
}

Result<void> ClusterMember::start(const cluster::Membership& self) {
  if (self.is_manager() && !front_) front_ = std::make_unique<cluster::Front>(paths_, self);
  if (!member_)
    member_ = std::make_unique<cluster::Member>(paths_, self, [this] {
      if (!front_) return;
      if (auto loaded = front_->reload(); !loaded) log_error(loaded.error().with("cluster").message);
    });
  if (!blocks_ && cluster::takes_part(self.role))
    blocks_ = std::make_unique<BlockKeeper>(paths_, self, *member_, block_spare_);
  FL_TRY(control_, cluster::Control::start(paths_, self, *member_));
  log_info("cluster: this node is " + self.role + " " + self.name + " of cluster " + self.cluster);
  return {};
}

void ClusterMember::stop() {
  control_.reset();
  blocks_.reset();
  member_.reset();
  front_.reset();
}

}  // namespace fairlead::agent
