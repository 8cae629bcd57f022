#include "cluster/encoding.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace fairlead::cluster {
namespace {

constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr char kBase32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* bytes_of(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

// bits per letter: 5 or 6. The unused bits of the last letter are zero.
std::string encode(std::string_view bytes, const char* letters, unsigned bits) {
  std::string text;
  uint32_t pending = 0;
  unsigned count = 0;
  for (unsigned char byte : bytes) {
    pending = pending << 8 | byte;
    for (count += 8; count >= bits; count -= bits) text += letters[pending >> (count - bits) & ((1u << bits) - 1)];
    pending &= (1u << count) - 1;
  }
  if (count) text += letters[pending << (bits - count) & ((1u << bits) - 1)];
  return text;
}

std::optional<std::string> decode(std::string_view text, std::string_view letters, unsigned bits) {
  std::string bytes;
  uint32_t pending = 0;
  unsigned count = 0;
  for (char c : text) {
    auto value = letters.find(c);
    if (value == letters.npos) return std::nullopt;
    pending = pending << bits | static_cast<uint32_t>(value);
    count += bits;
    if (count >= 8) {
      count -= 8;
      bytes += static_cast<char>(pending >> count);
      pending &= (1u << count) - 1;
    }
  }
  if (count >= bits || pending != 0) return std::nullopt;  // a letter too many, or bits that mean nothing
  return bytes;
}

}  // namespace

std::string to_base64(std::string_view bytes) {
  std::string text = encode(bytes, kBase64, 6);
  while (text.size() % 4) text += '=';
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4) return std::nullopt;
  for (int i = 0; i < 2 && text.ends_with('='); i++) text.remove_suffix(1);
  return decode(text, kBase64, 6);
}

std::string to_base32(std::string_view bytes) { return encode(bytes, kBase32, 5); }

std::optional<std::string> from_base32(std::string_view text) {
  std::string upper;
  for (char c : text) upper += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return decode(upper, kBase32, 5);
}

std::string to_hex(std::string_view bytes) {
  std::string text;
  for (unsigned char byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::string sha256(std::string_view bytes) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(bytes_of(bytes), bytes.size(), bytes_of(digest));
  return digest;
}

std::string derive(std::string_view secret, std::string_view info, size_t length) {
  std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nullptr),
                                                                      EVP_PKEY_CTX_free);
  std::string out(length, '\0');
  size_t written = length;
  bool done = context && EVP_PKEY_derive_init(context.get()) == 1 &&
              EVP_PKEY_CTX_set_hkdf_md(context.get(), EVP_sha256()) == 1 &&
              EVP_PKEY_CTX_set1_hkdf_key(context.get(), bytes_of(secret), static_cast<int>(secret.size())) == 1 &&
              EVP_PKEY_CTX_add1_hkdf_info(context.get(), bytes_of(info), static_cast<int>(info.size())) == 1 &&
              EVP_PKEY_derive(context.get(), bytes_of(out), &written) == 1;
  if (!done || written != length) abort();  // only without memory
  return out;
}

std::string random_bytes(size_t count) {
  std::string bytes(count, '\0');
  if (RAND_bytes(bytes_of(bytes), static_cast<int>(count)) != 1) abort();  // nothing is safe without randomness
  return bytes;
}

bool equal_secrets(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void wipe(std::string& secret) {
  OPENSSL_cleanse(secret.data(), secret.size());
  secret.clear();
}

}  // namespace fairlead::cluster
