// Documents about keys. None of them holds a secret that is not sealed. Decoders validate everything.
//
//   keys/epochs, run/remote/epochs.json                   which epochs there are
//   keys/NODE/EPOCH, run/remote/keys/EPOCH.json           an epoch's secret, sealed to that node
//   associations/NODE/PEER, run/associations/PEER.json,   what NODE tells PEER about the two directions between them;
//     run/remote/associations/NODE.json (on PEER)         the protocol: cluster/associations.h
// Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "state/paths.h"

namespace fairlead::cluster {

// Written with every removal of a member: an epoch that was sealed while one went is not put into the list.
inline constexpr const char* kRemovals = "counters/removed";
inline constexpr int64_t kDefaultKeyInterval = 12 * 3600, kMinKeyInterval = 10, kMaxKeyInterval = 365 * 86400;

struct Epoch {
  std::string id;       // NUMBER-RANDOM
  int64_t created = 0;  // seconds since 1970, of the manager that made it
  friend bool operator==(const Epoch&, const Epoch&) = default;
};
struct EpochList {
  static constexpr size_t kMax = 2;
  int64_t interval = kDefaultKeyInterval;  // seconds
  std::vector<Epoch> epochs;               // newest first, at most kMax
  friend bool operator==(const EpochList&, const EpochList&) = default;
};
Result<EpochList> decode_epoch_list(const std::string& text, const std::string& source);
std::string encode(const EpochList& list);

struct SealedCopy {
  std::string epoch;
  std::string sealed;   // raw
  std::string key;      // fingerprint of the public key it is sealed to
  uint32_t number = 0;  // of the node: a name may come back, a number does not
};
Result<SealedCopy> decode_sealed_copy(const std::string& text, const std::string& source);
std::string encode(const SealedCopy& copy);

struct SendOffer {
  std::string instance;  // 16 raw bytes the sender drew
  std::string epoch;
  uint16_t udp = 0;  // it will send ESP in UDP, to this port of the receiver; 0: plain ESP
  friend bool operator==(const SendOffer&, const SendOffer&) = default;
};
struct ReceiveEntry {
  uint32_t spi = 0;
  std::string epoch;
  std::string of;         // the instance it is for
  std::string nonce;      // 16 raw bytes the receiver drew
  uint32_t answered = 0;  // the sender's round of probes `got` is about; 0: none yet
  bool got = false;       // packets have arrived with it since the round before
  friend bool operator==(const ReceiveEntry&, const ReceiveEntry&) = default;
};
struct AssociationDocument {
  static constexpr size_t kMaxReceive = 8;
  std::string node, peer;
  std::string own_key, peer_key;  // fingerprints of the seal keys the node counts with
  std::optional<SendOffer> send;
  uint32_t sending = 0;  // the SPI in use; 0: none
  std::vector<ReceiveEntry> receive;
  uint32_t probed = 0;  // rounds of probes that were sent, whatever the SPI
  uint16_t udp = 0;     // the port at which this node takes ESP in UDP; 0: it does not
  friend bool operator==(const AssociationDocument&, const AssociationDocument&) = default;
};
Result<AssociationDocument> decode_association(const std::string& text, const std::string& source);
std::string encode(const AssociationDocument& document);

inline std::string epochs_path(const Paths& paths) { return paths.run + "/remote/epochs.json"; }
inline std::string sealed_copies_folder(const Paths& paths) { return paths.run + "/remote/keys"; }
inline std::string associations_folder(const Paths& paths) { return paths.run + "/associations"; }
inline std::string remote_associations_folder(const Paths& paths) { return paths.run + "/remote/associations"; }

}  // namespace fairlead::cluster
