// What managers keep about the cluster itself: its settings, members, tokens and leases. Every change is one
// transaction of etcd that compares what it was decided on, so that any number of managers may act at once.
//
// Threads: may be used by all threads at once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "cluster/etcd_client.h"
#include "cluster/feed.h"
#include "cluster/membership.h"
#include "cluster/rotation.h"

namespace fairlead::cluster {

inline constexpr const char* kStorePrefix = "/fairlead/v1/";
inline std::string store_key(const std::string& key) { return kStorePrefix + key; }

struct ClusterSettings {
  int64_t certificate_seconds = int64_t{90} * 86400;
  int64_t lease_seconds = 5;
  int64_t block_grace_seconds = kBlockGraceSeconds;
};

class Registry {
 public:
  Registry(Paths paths, Membership self, const EtcdClient& etcd, const Feed& feed)
      : paths_(std::move(paths)), self_(std::move(self)), etcd_(etcd), feed_(feed) {}

  // Makes the store of a new cluster, and takes the networks and services of its first node into it. May be repeated;
  // false: the store was there.
  Result<bool> found() const;
  // EAGAIN while a network of this node's directory does not carry the cluster's mark yet.
  Result<void> imported() const;
  Result<ClusterSettings> settings() const;

  // The token as text; it is stored nowhere.
  Result<std::string> make_token(const std::string& role, int64_t seconds, int64_t uses) const;
  // nullopt: no such token, or it is no longer valid.
  Result<std::optional<std::string>> handshake_key(const std::string& token) const;
  // The answer for a host that has come through the handshake with this token.
  Result<Json> join(const std::string& token, const Json& request) const;
  Result<Json> renew(const Identity& who, const std::string& request) const;
  // false: it is not, or no longer, a member.
  Result<bool> is_member(const Identity& who) const;
  // ahead: what its clock is ahead of this machine's, seconds; noted when it is much (cluster/clock_skew.h).
  Result<void> keep_alive(const Identity& who, int64_t ahead) const;
  Result<void> remove_member(const std::string& name) const;
  // The exchange of the authority (cluster/rotation.h): begins it; makes this manager's files as the store says (true:
  // they have changed); ends it when all have what they need, or now.
  Result<void> start_rotation() const;
  Result<bool> follow_rotation(const StopSignal& stop) const;
  Result<void> finish_rotation(bool now) const;
  Result<Authority> authority_of_token(const std::string& token) const;
  // With which certificate a member has come.
  Result<void> note_certificate(const CertificateInfo& certificate) const;
  // Removes endpoints and health of nodes that are no members.
  Result<void> sweep() const;

 private:
  struct Candidate;
  Result<Candidate> examine(const std::string& token, const Json& request) const;
  Result<bool> admit(Candidate& candidate, const Json& request, Json& answer) const;
  Result<void> add_etcd_member(const Candidate& candidate, Json& answer) const;
  Result<void> remove_lost_learners(const std::vector<EtcdMember>& before) const;
  Result<void> import_documents() const;
  Result<Authority> fetch_authority(const Rotation& rotation, const StopSignal& stop) const;
  Result<void> remove_old_tokens(const Rotation& rotation) const;
  Result<std::vector<EtcdChange>> import_blocks(const std::string& network, const std::string& document) const;
  Result<std::string> issue(const Identity& who, const HostPort& address, const std::string& request,
                            int64_t seconds) const;
  Paths paths_;
  Membership self_;
  const EtcdClient& etcd_;
  const Feed& feed_;
};

// What a document live/NODE says of the node's clock; 0: nothing.
int64_t clock_ahead(const std::optional<std::string>& live);

}  // namespace fairlead::cluster
