// The key of one security association: a function of the epoch's secret, both nodes' seal keys and values drawn anew
// for every association, so that no two ever share one (docs/encryption.md has the bytes and test vectors).
// Pure.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "cluster/locked_bytes.h"

namespace fairlead::cluster {

inline constexpr size_t kAssociationKeyBytes = 36;  // AES-256 key, then the salt of RFC 4106
inline constexpr size_t kAssociationNonceBytes = 16;

struct AssociationName {
  std::string epoch, sender, receiver;
  std::string instance;  // 16 bytes the sender drew
  std::string nonce;     // 16 bytes the receiver drew
  uint32_t spi = 0;      // drawn by the receiver
  friend bool operator==(const AssociationName&, const AssociationName&) = default;
};

// own: this node's private seal key; peer: the other node's public one. Both nodes come to the same bytes.
Result<Secret> derive_association_key(const LockedBytes& epoch_secret, const AssociationName& name,
                                      const LockedBytes& own, const std::string& peer);

}  // namespace fairlead::cluster
