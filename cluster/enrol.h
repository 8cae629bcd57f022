// Founding a cluster and joining one, as fairleadctl does it on the machine itself.
//
// Promise: the node is a member when state/cluster.json is there, which is written last; before that, an error leaves
// nothing but (when the manager's answer got lost) the key with which the same command can be repeated.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "cluster/membership.h"
#include "cluster/token.h"

namespace fairlead::cluster {

struct InitOptions {
  std::string name;  // of this node
  HostPort address;
  int64_t certificate_seconds = int64_t{90} * 86400;
  int64_t lease_seconds = 5;
  int64_t key_seconds = int64_t{12} * 3600;  // an epoch's age at which the next one is made
  int64_t block_grace_seconds = kBlockGraceSeconds;
};
Result<Membership> found_cluster(const Paths& paths, const InitOptions& options);

struct JoinOptions {
  std::string name;
  HostPort manager;
  HostPort address;  // none: the one this machine reaches the manager from
};
Result<Membership> join_cluster(const Paths& paths, const Token& token, const JoinOptions& options);

}  // namespace fairlead::cluster
