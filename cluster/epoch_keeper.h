// A manager's part in keys: takes nodes' public keys, makes epochs, seals them, takes away what is over. The store
// holds sealed copies only; this manager can open those sealed to its own node.
//
// Any number of managers may do it at once: a new epoch's copies are written under an id of their own, and then the
// list keys/epochs by compare-and-swap; who loses takes its copies away. A manager that dies in between leaves copies
// no list names; they are removed a minute later. Threads: tend() from one thread, the others from all at once.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "base/json.h"
#include "base/result.h"
#include "cluster/epoch_plan.h"
#include "cluster/etcd_client.h"
#include "cluster/feed.h"
#include "cluster/locked_bytes.h"
#include "cluster/membership.h"
#include "cluster/pki.h"

namespace fairlead::cluster {

class EpochKeeper {
 public:
  EpochKeeper(Paths paths, Membership self, const EtcdClient& etcd, const Feed& feed)
      : paths_(std::move(paths)), self_(std::move(self)), etcd_(etcd), feed_(feed) {}

  // Every two seconds: reads the manager's memory of the store, and acts when something is due.
  Result<void> tend();
  // A new epoch now; its id.
  Result<std::string> rotate(const std::string& why);
  // {"sealKey","wireguardKey"} of the node that asks, into its document.
  Result<Json> announce(const Identity& who, const Json& request) const;
  // For `status`: {"interval","epochs":[{"id","number","created"}],"nodes":{NAME:{"problem"}}}.
  Json describe() const;

 private:
  struct Seen;
  Result<Seen> look() const;
  Result<bool> make_once(std::string& id);
  Result<void> seal_missing(const Seen& seen, const EpochPlan& plan) const;
  Result<void> remove(const std::vector<std::pair<std::string, std::string>>& places) const;
  std::vector<std::pair<std::string, std::string>> left_over(const EpochPlan& plan);

  Paths paths_;
  Membership self_;
  const EtcdClient& etcd_;
  const Feed& feed_;
  // tend()'s own.
  std::map<std::pair<std::string, std::string>, int64_t> strange_since_;
  int64_t lost_since_ = 0;
};

}  // namespace fairlead::cluster
