// A node's part of the cluster: follows the managers into the state directory, and tells them of itself.
//
// Threading: a follower (one connection, changes to files), a publisher (one connection: its own documents, the
// lease, its certificate), and a checker (compares the directory when a manager asks; on a manager also its clock with
// those of the others). The rest may be called by any thread.
// Failure: without managers everything goes on from the directory; both threads try again, every manager in turn. A
// store that has gone back in time is not followed (held) until accept() says so.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/json.h"
#include "cluster/manager_client.h"
#include "cluster/membership.h"
#include "cluster/mirror.h"
#include "cluster/node_keys.h"
#include "cluster/publication.h"
#include "cluster/scope.h"

namespace fairlead::cluster {

struct MemberStatus {
  std::string state = "connecting";  // connecting synced away held evicted
  std::string manager;               // whom the follower is connected to
  std::string problem;               // why not
  int64_t revision = 0;              // up to which the directory is as the store
  size_t documents = 0;
  std::map<std::string, std::string> problems;  // documents that could not be mirrored, by key
};

class Member {
 public:
  // renewed: called by the publisher when the node has a new certificate.
  Member(Paths paths, Membership self, std::function<void()> renewed);
  ~Member() { stop(); }
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;
  void stop();

  MemberStatus status() const;
  // Until the directory has reached the revision; false when it has not in time.
  bool reach(int64_t revision, int ms) const;
  ManagerClient& client() { return client_; }
  // Networks and blocks as the managers told them; revision 0: not yet since the start.
  const Feed& known() const { return known_; }
  // How often known() was told as a whole: what differs may be at no new revision then.
  int64_t snapshots() const { return snapshots_; }
  // What this node cannot do with a document of the cluster, for status(); empty: it can.
  void set_trouble(const std::string& key, const std::string& text);
  // Takes a store for good that has gone back in time.
  Result<void> accept();

 private:
  void follow();
  Result<void> follow_once();
  Result<void> receive(Channel& channel, int64_t& known);
  Result<void> apply_events(const Json& items);
  Result<void> not_gone_back(int64_t revision) const;
  void note_managers();
  void note_known(int64_t revision);
  void note(int64_t revision);
  void save_remote();
  void load_remote();
  void fault(const Error& error);
  void answer_checks();
  void publish();
  Result<void> publish_once();
  Result<void> publish_on(Channel& channel, StateView& view, size_t certificate);
  Result<void> renew(Channel& channel);
  Result<void> announce(Channel& channel, std::optional<PublicKeys>& announced);
  bool renewal_due();
  bool authority_changed(const CertificateInfo& certificate);
  void compare_clock(const Json& answer, int64_t asked);
  void ask_other_managers_clocks();

  Paths paths_;
  Membership self_;
  std::function<void()> renewed_;
  StopSignal stop_;
  ManagerClient client_;
  Mirror mirror_;                          // the follower's
  Scope scope_ = std::set<std::string>();  // what the managers have given us; the follower's
  std::string lineage_;                    // cluster/lineage as last heard; the follower's
  Feed known_;
  std::atomic<int64_t> snapshots_{0};
  bool addresses_ = true;  // changed since known_ was told; the follower's
  mutable std::mutex mutex_;
  mutable std::condition_variable moved_;
  MemberStatus status_;
  std::map<std::string, std::string> troubles_;  // by key
  struct Clock {
    int64_t ahead = 0, heard_ms = 0;
  };
  std::map<std::string, Clock> clocks_;  // what this machine's clock is ahead of managers', as it is said; by name
  int64_t compared_ms_ = 0, saved_ms_ = 0, saved_ = 0, generation_ = 0;
  int64_t remote_at_ = 0;     // the follower's
  size_t remote_hash_ = 0;    // the follower's
  std::string check_wanted_;  // the last one a manager has asked for
  std::string authority_;     // cluster/authority as last heard
  std::string looked_at_;     // with this of it, and with this certificate, all was well; the publisher's
  // The publisher's. Of the clock that never jumps, but for those that are compared with a certificate.
  int64_t hurry_at_ms_ = 0, renewed_at_ms_ = 0;
  int64_t renewal_of_ = 0, renewal_at_ = 0;
  size_t certificate_hash_ = 0;
  std::thread follower_, publisher_, checker_;
};

}  // namespace fairlead::cluster
