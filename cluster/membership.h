// Which cluster this node is in, and as what: state/cluster.json, the certificates in state/pki/. Written by init and
// join (the document last: a node is a member when it is there), the certificates by the agent.
// Threads: stateless.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/net.h"
#include "cluster/pki.h"
#include "cluster/tls.h"
#include "state/paths.h"

namespace fairlead::cluster {

// How long a former member's addresses rest before others may have them.
inline constexpr int64_t kBlockGraceSeconds = 600;

struct Membership {
  std::string cluster;  // its id
  std::string name, role;
  uint32_t number = 0;
  HostPort address;                // of this node; a manager's front listens there
  std::vector<HostPort> managers;  // as last known; never empty
  // Managers only: what etcd is told when it starts for the first time.
  std::string etcd_cluster;  // "n1=https://192.0.2.1:7311,…"
  bool founder = false;      // it makes the store; taken back once it is there
  // Founder only: the cluster's settings.
  int64_t certificate_seconds = 0, lease_seconds = 0, key_seconds = 0, block_grace_seconds = kBlockGraceSeconds;

  bool is_manager() const { return role == "manager"; }
};

std::string membership_path(const Paths& paths);
std::string remote_path(const Paths& paths);  // what other nodes had (Member::save_remote)
Result<std::optional<Membership>> load_membership(const Paths& paths);
Result<void> save_membership(const Paths& paths, const Membership& membership);
// Reads, changes and writes it; of two threads of this process one after the other.
Result<void> update_membership(const Paths& paths, const std::function<void(Membership&)>& change);

struct PkiPaths {
  explicit PkiPaths(const Paths& paths) : folder(paths.state + "/pki") {}
  std::string folder;
  std::string own() const { return folder + "/node.pem"; }
  std::string authorities() const { return folder + "/ca.pem"; }
  std::string authority_key() const { return folder + "/ca-key.pem"; }  // managers
  // Managers, while the authority is exchanged: the one that was, and the one that will be where the exchange began.
  std::string previous_authority() const { return folder + "/ca-key-previous.pem"; }
  std::string next_authority() const { return folder + "/ca-key-next.pem"; }
  std::string peer() const { return folder + "/etcd-peer.pem"; }          // managers
  std::string peer_authority() const { return folder + "/etcd-ca.pem"; }  // managers
  std::string peer_authority_key() const { return folder + "/etcd-ca-key.pem"; }
  std::string joining() const { return folder + "/joining-key.pem"; }  // of a join that was begun
};
// Durable, 0600, in a folder of 0700.
Result<void> save_secret(const std::string& path, const std::string& text);
Result<std::string> load_secret(const std::string& path);
Result<Credentials> load_credentials(const Paths& paths);
Result<Authority> load_authority(const Paths& paths);
Result<Authority> load_authority_file(const std::string& path);  // as parse_authority() takes it
Result<Authority> load_peer_authority(const Paths& paths);
// Makes a new key and certificate of etcd's peer on this manager.
Result<void> renew_peer_certificate(const Paths& paths, const Membership& self, int64_t seconds);
// The same for a manager's own certificate, which it can sign itself.
Result<void> renew_manager_certificate(const Paths& paths, const Membership& self, int64_t seconds);

std::string peer_url(const HostPort& address);  // of the etcd of the manager at this address

// Removes everything that makes this node a member. Networks and services stay, as the node's own, and so do
// documents of nodes that an operator wrote.
Result<void> forget_membership(const Paths& paths);

}  // namespace fairlead::cluster
