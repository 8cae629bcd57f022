// One connection to a manager's front, from the handshake to its end. What is asked is one JSON object with "op", the
// answer another one; {"error":TEXT,"errno":N} when it is refused.
//
// Members: own (their documents in the store), write (their own documents), submit (networks and services), claim
// (their address blocks, cluster/block_claims.h), told (all of those, cluster/roll_call.h), live, clock, renew, follow
// (everything they may read and its changes, until the connection ends), read (the same once, from etcd), check (every
// live member compares itself), preflight (cluster/preflight.h), token, evict, leave, status, announce (a node's public
// keys), rotate ("keys": a new epoch; "ca": another authority), authority (its key, for managers).
// Hosts that join: join, once.
// Threads: run() in the connection's own thread.
#pragma once

#include <mutex>
#include <string>

#include "cluster/block_claims.h"
#include "cluster/epoch_keeper.h"
#include "cluster/etcd_client.h"
#include "cluster/feed.h"
#include "cluster/membership.h"
#include "cluster/registry.h"
#include "cluster/roles.h"
#include "cluster/roll_call.h"
#include "cluster/scope.h"
#include "cluster/tls.h"

namespace fairlead::cluster {

// What sessions share; all of it outlives them.
struct FrontParts {
  const Paths& paths;
  const Membership& self;
  const EtcdClient& etcd;
  const Feed& feed;
  const Registry& registry;
  RollCall& calls;
  BlockClaims& claims;
  EpochKeeper& epochs;
  std::mutex& preflight;  // one at a time
  const StopSignal& stop;
};

class Session {
 public:
  Session(FrontParts parts, Secured secured, std::string peer);
  void run();

 private:
  Result<Json> answer(const Json& request);
  Result<Json> answer_operation(const std::string& op, const Json& request);
  Result<void> serve_member();
  Result<void> serve_joiner();
  Result<void> follow(const Json& request);
  Result<void> compare_seen(int64_t seen);
  Result<void> send_snapshot(int64_t& revision);
  Result<void> send_documents(Feed::Snapshot snapshot);
  Result<void> send_framed(const char* name, Feed::Documents documents, Json last);
  Result<void> read();
  Result<void> preflight(const Json& request);
  Result<void> send_events(std::vector<EtcdEvent>& events, int64_t revision, const Feed::Wanted& wanted);
  Result<void> send_scope(Scope wanted, int64_t& revision);
  Result<void> admitted();
  Result<void> may(Verb verb, const std::string& key);
  Result<Json> own();
  Result<Json> write(const Json& request);
  Result<Json> submit(const Json& request);
  Result<Json> status();
  Result<Json> check_all();
  Result<Json> authority(const std::string& id);
  Result<Json> rotate(const Json& request);
  bool visible(const std::string& key) const;
  const Identity& who() const { return secured_.certificate->identity; }

  FrontParts parts_;
  Secured secured_;
  std::string peer_;
  Channel channel_;
  Scope scope_ = std::set<std::string>();  // what a follower has been given
};

}  // namespace fairlead::cluster
