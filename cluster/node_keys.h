// The node's own X25519 key pairs: one that epoch secrets are sealed to, one for WireGuard. The private halves are in
// state/keys/NAME.key, made when missing, and never leave the node; the public ones are in run/keys.json, from where
// the managers and people who write node documents by hand have them.
//
// A private key that others could have read is refused, with its path and what to do about it (docs/encryption.md).
// Threads: stateless.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cluster/locked_bytes.h"
#include "state/paths.h"

namespace fairlead::cluster {

inline constexpr size_t kNodeKeyBytes = 32;

inline std::string node_keys_folder(const Paths& paths) { return paths.state + "/keys"; }
inline std::string seal_key_path(const Paths& paths) { return node_keys_folder(paths) + "/seal.key"; }
inline std::string wireguard_key_path(const Paths& paths) { return node_keys_folder(paths) + "/wireguard.key"; }
inline std::string public_keys_path(const Paths& paths) { return paths.run + "/keys.json"; }

// nullopt: there is no such file. An Error when it is no key, or others than root may read or replace it.
Result<std::optional<LockedBytes>> load_node_key(const std::string& path);
// Files and folder that are there are as they have to be.
Result<void> check_node_keys(const Paths& paths);

struct PublicKeys {
  std::string seal, wireguard;  // 32 bytes each
  friend bool operator==(const PublicKeys&, const PublicKeys&) = default;
};
// Makes what is missing and writes run/keys.json when it says something else.
Result<PublicKeys> ensure_node_keys(const Paths& paths);
// What run/keys.json says; nullopt when it is not there.
Result<std::optional<PublicKeys>> load_public_keys(const Paths& paths);

std::string public_key_of(const LockedBytes& key);
// base64 of 32 bytes that are a usable public key (none of the few points that every private key takes to zero).
Result<std::string> decode_public_key(std::string_view text, std::string_view what);
// For people and for comparing: the first 16 digits of the BLAKE2b of a public key.
std::string key_fingerprint(std::string_view public_key);

}  // namespace fairlead::cluster
