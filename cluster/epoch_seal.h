// Epoch secrets, sealed to one node: what the managers' store holds of them. libsodium's crypto_box_seal (X25519,
// XSalsa20-Poly1305) to the node's seal key, so that neither etcd, nor its backups, nor other members can open it.
//
// The content: a byte that says which format, the epoch's id, 32 random bytes. Writers write kSealedFormat; readers
// read every format in the table of epoch_seal.cc: that one and the one before it (docs/encryption.md, "Formats").
// Threads: stateless.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "cluster/locked_bytes.h"

namespace fairlead::cluster {

inline constexpr size_t kEpochSecretBytes = 32;
inline constexpr uint8_t kSealedFormat = 1;

// NUMBER-RANDOM, e.g. "42-9f3ac1d2".
bool is_epoch_id(std::string_view id);
std::string make_epoch_id(uint64_t number);
uint64_t epoch_number(std::string_view id);  // 0: it is none

Result<LockedBytes> make_epoch_secret();
// Raw bytes, not base64.
Result<std::string> seal_epoch(std::string_view id, const LockedBytes& secret, std::string_view public_key);
// An Error when it is for another key, has been touched, is of another epoch, or of a format this version cannot read.
Result<LockedBytes> open_epoch(std::string_view id, std::string_view sealed, const LockedBytes& private_key);

}  // namespace fairlead::cluster
