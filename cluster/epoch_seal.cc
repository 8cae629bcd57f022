#include "cluster/epoch_seal.h"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/secret.h"
#include "cluster/encoding.h"
#include "cluster/node_keys.h"

namespace fairlead::cluster {
namespace {

constexpr size_t kRandomDigits = 8, kMaxNumberDigits = 10, kMaxPlain = 96;

const uint8_t* bytes_of(std::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); }

Result<LockedBytes> read_format_1(std::string_view id, const uint8_t* plain, size_t size) {
  if (size != 1 + id.size() + kEpochSecretBytes || memcmp(plain + 1, id.data(), id.size()) != 0)
    return fail("the sealed secret is not that of epoch " + std::string(id), EINVAL);
  FL_TRY(LockedBytes secret, LockedBytes::make(kEpochSecretBytes));
  memcpy(secret.data(), plain + 1 + id.size(), kEpochSecretBytes);
  return secret;
}

// Newest first. A new format is added here one release before it is written, and the oldest goes one release after.
struct Format {
  uint8_t version;
  Result<LockedBytes> (*read)(std::string_view id, const uint8_t* plain, size_t size);
};
constexpr std::array kFormats = {Format{1, read_format_1}};
static_assert(kFormats.front().version >= kSealedFormat);

}  // namespace

bool is_epoch_id(std::string_view id) {
  auto dash = id.find('-');
  if (dash == id.npos || dash == 0 || dash > kMaxNumberDigits || id.size() != dash + 1 + kRandomDigits) return false;
  auto digit = [](char c) { return c >= '0' && c <= '9'; };
  auto hex = [&](char c) { return digit(c) || (c >= 'a' && c <= 'f'); };
  return id[0] != '0' && std::all_of(id.begin(), id.begin() + static_cast<ptrdiff_t>(dash), digit) &&
         std::all_of(id.begin() + static_cast<ptrdiff_t>(dash) + 1, id.end(), hex);
}

std::string make_epoch_id(uint64_t number) { return std::to_string(number) + "-" + to_hex(random_bytes(4)); }

uint64_t epoch_number(std::string_view id) {
  return is_epoch_id(id) ? strtoull(std::string(id.substr(0, id.find('-'))).c_str(), nullptr, 10) : 0;
}

Result<LockedBytes> make_epoch_secret() {
  FL_TRY(LockedBytes secret, LockedBytes::make(kEpochSecretBytes));
  randombytes_buf(secret.data(), secret.size());
  return secret;
}

Result<std::string> seal_epoch(std::string_view id, const LockedBytes& secret, std::string_view public_key) {
  if (!is_epoch_id(id) || secret.size() != kEpochSecretBytes || public_key.size() != kNodeKeyBytes)
    return fail("seal epoch " + std::string(id) + ": it cannot be sealed", EINVAL);
  Secret plain(1 + id.size() + secret.size());
  plain.data()[0] = kSealedFormat;
  memcpy(plain.data() + 1, id.data(), id.size());
  memcpy(plain.data() + 1 + id.size(), secret.data(), secret.size());
  std::string sealed(plain.size() + crypto_box_SEALBYTES, '\0');
  if (crypto_box_seal(reinterpret_cast<uint8_t*>(sealed.data()), plain.data(), plain.size(), bytes_of(public_key)) != 0)
    return fail("seal epoch " + std::string(id) + ": the node's public key is not usable", EINVAL);
  return sealed;
}

Result<LockedBytes> open_epoch(std::string_view id, std::string_view sealed, const LockedBytes& private_key) {
  const std::string what = "epoch " + std::string(id);
  if (!is_epoch_id(id) || sealed.size() <= crypto_box_SEALBYTES || sealed.size() > crypto_box_SEALBYTES + kMaxPlain)
    return fail(what + ": the sealed secret is not one", EINVAL);
  const std::string own = public_key_of(private_key);
  const size_t size = sealed.size() - crypto_box_SEALBYTES;
  FL_TRY(LockedBytes plain, LockedBytes::make(size));
  if (crypto_box_seal_open(plain.data(), bytes_of(sealed), sealed.size(), bytes_of(own), private_key.data()) != 0)
    return fail(what + ": the sealed secret is for another key, or was changed", EBADMSG);
  for (const auto& format : kFormats)
    if (format.version == plain.data()[0]) return format.read(id, plain.data(), size);
  return fail(what + ": the secret is sealed in format " + std::to_string(plain.data()[0]) +
                  ", which this version of fairlead-agent cannot read; upgrade it",
              EPROTO);
}

}  // namespace fairlead::cluster
