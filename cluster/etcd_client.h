// etcd on its Unix socket. Every call is a connection of its own.
//
// Threads: may be used by all threads at once. Errors: sys is ERANGE when a revision is compacted or not there yet,
// ECONNREFUSED or ETIMEDOUT when etcd does not answer (it may be without a leader), ECANCELED when stopped.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cluster/etcd_codec.h"
#include "cluster/net.h"

namespace fairlead::cluster {

class EtcdClient {
 public:
  explicit EtcdClient(std::string socket_path) : path_(std::move(socket_path)) {}

  // Everything in the range at one revision, in pages.
  Result<EtcdRangeAnswer> range(EtcdRange what) const;
  Result<std::optional<EtcdDocument>> get(const std::string& key) const;

  struct Applied {
    bool done = false;  // the compares were true
    int64_t revision = 0;
  };
  // At most kMaxEtcdChanges changes; all of them or none.
  Result<Applied> apply(const std::vector<EtcdCompare>& compares, const std::vector<EtcdChange>& changes) const;

  // false: there is a lease of that number already.
  Result<bool> grant_lease(int64_t lease, int64_t seconds) const;
  Result<bool> keep_lease(int64_t lease) const;  // false: it is lost

  // Until the stream ends, line says false, or stop is set.
  Result<void> watch(const EtcdRange& what, int64_t start_revision,
                     const std::function<bool(const EtcdWatchLine&)>& line, const StopSignal& stop) const;

  Result<std::vector<EtcdMember>> members() const;
  Result<std::vector<EtcdMember>> add_learner(const std::string& peer_url) const;
  Result<void> promote(const std::string& member) const;
  Result<void> remove_member(const std::string& member) const;

 private:
  Result<Json> post(const std::string& path, const Json& body) const;
  std::string path_;
};

}  // namespace fairlead::cluster
