// The exchange of the cluster's authority, as the store tells it: cluster/authority. A new root, its twin that the old
// root has signed, and the old root, until all members have certificates of the new one; then the new root alone.
//
// While the old root is there both are trusted, and a certificate of the new one is sent with the twin, so that who
// has not heard of the new root takes it by the old one: nobody has to be told before anybody else
// (docs/decisions/0030). Pure; threads: stateless.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cluster/feed.h"
#include "cluster/pki.h"

namespace fairlead::cluster {

inline constexpr const char* kAuthorityKey = "cluster/authority";

struct Rotation {
  std::string root, root_id;          // PEM; the id is that of its key, as certificates name their issuer
  std::string previous, previous_id;  // empty: the exchange is finished
  std::string cross;                  // the root's key under its name, signed by the previous one
  int64_t started = 0;                // seconds since 1970

  bool under_way() const { return !previous.empty(); }
  // What is trusted now, PEM.
  std::string bundle() const { return root + previous; }
  bool trusts(const std::string& issuer) const { return issuer == root_id || (under_way() && issuer == previous_id); }
};
std::string encode(const Rotation& rotation);
Result<Rotation> decode_rotation(const std::string& text);
// nullopt: the authority is the one the cluster was founded with.
std::optional<Rotation> rotation_of(const Feed& feed);

// certificates/NAME: with which certificate a member came last.
std::string certificate_document(const CertificateInfo& certificate);

struct RotationProgress {
  std::vector<std::string> waiting;  // members that have no certificate of the new root yet
  bool finished = true;              // none of them is one that has to be waited for
};
// Waited for are managers, members that are live, and for patience_seconds everybody.
RotationProgress progress_of(const Feed& feed, const Rotation& rotation, int64_t now, int64_t patience_seconds);

}  // namespace fairlead::cluster
