#include "cluster/association_key.h"

#include <sodium.h>

#include <cerrno>
#include <string_view>

#include "cluster/epoch_seal.h"
#include "cluster/node_keys.h"

namespace fairlead::cluster {
namespace {

constexpr std::string_view kPurpose = "fairlead-esp-v1";

class Digest {
 public:
  explicit Digest(const LockedBytes& key) {
    crypto_generichash_init(&state_, key.data(), key.size(), kAssociationKeyBytes);
  }
  ~Digest() { sodium_memzero(&state_, sizeof state_); }
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;
  void raw(const void* bytes, size_t size) {
    crypto_generichash_update(&state_, static_cast<const uint8_t*>(bytes), size);
  }
  void number(uint32_t value) {
    const uint8_t bytes[] = {static_cast<uint8_t>(value >> 24), static_cast<uint8_t>(value >> 16),
                             static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)};
    raw(bytes, sizeof bytes);
  }
  void field(const void* bytes, size_t size) {
    number(static_cast<uint32_t>(size));
    raw(bytes, size);
  }
  void field(std::string_view text) { field(text.data(), text.size()); }
  Secret finish() {
    Secret result(kAssociationKeyBytes);
    crypto_generichash_final(&state_, result.data(), result.size());
    return result;
  }

 private:
  crypto_generichash_state state_;
};

}  // namespace

Result<Secret> derive_association_key(const LockedBytes& epoch_secret, const AssociationName& name,
                                      const LockedBytes& own, const std::string& peer) {
  if (epoch_secret.size() != kEpochSecretBytes || own.size() != kNodeKeyBytes || peer.size() != kNodeKeyBytes ||
      name.instance.size() != kAssociationNonceBytes || name.nonce.size() != kAssociationNonceBytes)
    return fail("derive the key from " + name.sender + " to " + name.receiver + ": a part of it is not whole", EINVAL);
  Secret shared(crypto_scalarmult_BYTES);
  if (crypto_scalarmult(shared.data(), own.data(), reinterpret_cast<const uint8_t*>(peer.data())) != 0)
    return fail("derive the key from " + name.sender + " to " + name.receiver + ": a public key is not usable", EINVAL);
  Digest digest(epoch_secret);
  digest.raw(kPurpose.data(), kPurpose.size());
  for (const auto& part : {name.epoch, name.sender, name.receiver, name.instance, name.nonce}) digest.field(part);
  digest.number(4);
  digest.number(name.spi);
  digest.field(shared.data(), shared.size());
  return digest.finish();
}

}  // namespace fairlead::cluster
