// The front of a manager: the only client of etcd, and the only way into the cluster. It listens for members (mutual
// TLS) and for hosts that join, decides what each may do, and feeds changes to those who follow.
//
// Threading: a keeper (starts etcd and looks after it), a feeder (one watch of etcd), a listener, and one thread for
// each connection, at most kMaxConnections. stop() ends them all.
// Failure: while etcd does not answer, requests are refused with that reason, followers hear nothing new, and all is
// tried again.
#pragma once

#include <atomic>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "cluster/block_claims.h"
#include "cluster/epoch_keeper.h"
#include "cluster/etcd_client.h"
#include "cluster/feed.h"
#include "cluster/membership.h"
#include "cluster/registry.h"
#include "cluster/roll_call.h"
#include "cluster/session.h"
#include "cluster/tls.h"

namespace fairlead::cluster {

class Front {
 public:
  static constexpr size_t kMaxConnections = 2048, kMaxHandshakes = 64, kMaxHandshakesOfOne = 16;

  // Starts the threads; they do the rest.
  Front(Paths paths, Membership self);
  ~Front() { stop(); }
  Front(const Front&) = delete;
  Front& operator=(const Front&) = delete;
  void stop();

  // The certificate was renewed: connections from now on are made with it.
  Result<void> reload();

 private:
  struct Connection {
    std::thread thread;
    std::atomic<bool> done{false};
  };
  void keep();
  void feed();
  void listen();
  void serve(Fd socket, const std::string& peer, Connection& connection);
  void tend_cluster();
  void tend_authority();
  bool enter_handshake(const std::string& peer);
  void leave_handshake(const std::string& peer);
  void reap(bool all);
  Result<void> feed_once();

  Paths paths_;
  Membership self_;
  EtcdClient etcd_;
  Feed feed_;
  Registry registry_;
  RollCall calls_;
  BlockClaims claims_;
  EpochKeeper epochs_;
  StopSignal stop_;
  std::mutex mutex_;  // tls_, handshakes_
  std::shared_ptr<TlsServer> tls_;
  std::map<std::string, size_t> handshakes_;  // by the peer's address
  size_t handshakes_count_ = 0;
  std::list<Connection> connections_;  // the listener's own
  std::mutex preflight_;               // held by the session whose member tries the way
  int64_t sweep_at_ = 0;               // the keeper's
  std::string keys_problem_;           // the keeper's: as it was logged
  std::string authority_told_;         // the keeper's
  std::thread keeper_, feeder_, listener_;
};

}  // namespace fairlead::cluster
