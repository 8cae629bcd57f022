#include "cluster/node_keys.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/secret.h"
#include "cluster/channel.h"
#include "cluster/encoding.h"

namespace fairlead::cluster {
namespace {

constexpr size_t kTextBytes = 44;  // base64 of 32 bytes

const uint8_t* bytes_of(std::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); }

Result<void> check_mode(const std::string& path, const struct stat& st, bool folder) {
  const std::string fix = std::string("; nothing is read from it. Find out who could, then: chown root:root ") + path +
                          (folder ? " && chmod 0700 " : " && chmod 0600 ") + path +
                          (folder ? "" : ", or remove it (fairlead-agent makes a new key, and the others learn of it)");
  if (st.st_uid != ::geteuid())
    return fail(path + ": it belongs to user " + std::to_string(st.st_uid) + ", not to root" + fix, EACCES);
  if (st.st_mode & 077) {
    char mode[8];
    snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(st.st_mode) & 07777);
    return fail(path + ": its mode is " + mode + ", so others than root may use it" + fix, EACCES);
  }
  return {};
}

// Into memory that is zeroed again; base64 without anything else but a newline at the end.
Result<LockedBytes> decode_key(const char* text, size_t size, const std::string& path) {
  FL_TRY(LockedBytes key, LockedBytes::make(kNodeKeyBytes));
  size_t decoded = 0;
  if (size == kTextBytes + 1 && text[kTextBytes] == '\n') size--;
  if (size != kTextBytes ||
      sodium_base642bin(key.data(), key.size(), text, size, nullptr, &decoded, nullptr,
                        sodium_base64_VARIANT_ORIGINAL) != 0 ||
      decoded != kNodeKeyBytes)
    return fail(
        path + ": it is no key (base64 of 32 bytes); remove it and restart fairlead-agent, which makes a new one",
        EINVAL);
  return key;
}

Result<void> check_folder(const Paths& paths) {
  const std::string folder = node_keys_folder(paths);
  struct stat st {};
  if (::lstat(folder.c_str(), &st) != 0) return errno == ENOENT ? Result<void>() : fail_errno("look at", folder);
  if (!S_ISDIR(st.st_mode)) return fail(folder + ": it is no folder", ENOTDIR);
  return check_mode(folder, st, true);
}

Result<LockedBytes> make_key(const std::string& path) {
  FL_TRY(LockedBytes key, LockedBytes::make(kNodeKeyBytes));
  randombytes_buf(key.data(), key.size());
  // RFC 7748: what X25519 does with every private key anyway. WireGuard's tools show the key in this form.
  key.data()[0] &= 248;
  key.data()[31] = static_cast<uint8_t>((key.data()[31] & 127) | 64);
  Secret text(kTextBytes + 2);  // a NUL, too
  auto* letters = reinterpret_cast<char*>(text.data());
  sodium_bin2base64(letters, kTextBytes + 1, key.data(), key.size(), sodium_base64_VARIANT_ORIGINAL);
  letters[kTextBytes] = '\n';
  FL_TRY(bool made, create_file(path, {letters, kTextBytes + 1}, Durability::kDurable, 0600));
  if (made) return key;
  FL_TRY(auto other, load_node_key(path));  // somebody was faster
  if (!other) return fail(path + ": it comes and goes");
  return std::move(*other);
}

Result<std::string> ensure_key(const std::string& path) {
  FL_TRY(auto key, load_node_key(path));
  if (key) return public_key_of(*key);
  FL_TRY(LockedBytes made, make_key(path));
  return public_key_of(made);
}

}  // namespace

Result<std::optional<LockedBytes>> load_node_key(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) {
    if (errno == ENOENT) return std::nullopt;
    return fail_errno("open", path);
  }
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return fail_errno("look at", path);
  if (!S_ISREG(st.st_mode)) return fail(path + ": it is no file", EINVAL);
  FL_CHECK(check_mode(path, st, false));
  Secret text(Secret::kCapacity);
  ssize_t size = ::read(fd.get(), text.data(), text.size());
  if (size < 0) return fail_errno("read", path);
  FL_TRY(LockedBytes key, decode_key(reinterpret_cast<const char*>(text.data()), static_cast<size_t>(size), path));
  return std::optional<LockedBytes>(std::move(key));
}

Result<void> check_node_keys(const Paths& paths) {
  FL_CHECK(check_folder(paths));
  for (const auto& path : {seal_key_path(paths), wireguard_key_path(paths)}) FL_CHECK(load_node_key(path));
  return {};
}

Result<PublicKeys> ensure_node_keys(const Paths& paths) {
  FL_CHECK(make_folders(paths.state));
  FL_CHECK(make_folders(node_keys_folder(paths), 0700));
  FL_CHECK(check_folder(paths));
  PublicKeys keys;
  FL_TRY(keys.seal, ensure_key(seal_key_path(paths)));
  FL_TRY(keys.wireguard, ensure_key(wireguard_key_path(paths)));
  auto there = load_public_keys(paths);
  if (there && *there && **there == keys) return keys;
  FL_CHECK(make_folders(paths.run));
  const Json document{
      {"apiVersion", 1}, {"sealKey", to_base64(keys.seal)}, {"wireguardKey", to_base64(keys.wireguard)}};
  FL_CHECK(replace_file(public_keys_path(paths), dump_json(document) + "\n", Durability::kBoot));
  return keys;
}

Result<std::optional<PublicKeys>> load_public_keys(const Paths& paths) {
  const std::string path = public_keys_path(paths);
  FL_TRY(auto text, read_file(path));
  if (!text) return std::nullopt;
  FL_TRY(Json json, parse_json(*text, path));
  if (!json.is_object()) return fail(path + ": it is no object");
  PublicKeys keys;
  FL_TRY(keys.seal, decode_public_key(text_at(json, "sealKey"), path + ": /sealKey"));
  FL_TRY(keys.wireguard, decode_public_key(text_at(json, "wireguardKey"), path + ": /wireguardKey"));
  return std::optional<PublicKeys>(std::move(keys));
}

std::string public_key_of(const LockedBytes& key) {
  std::string result(kNodeKeyBytes, '\0');
  (void)crypto_scalarmult_base(reinterpret_cast<uint8_t*>(result.data()), key.data());  // never fails
  return result;
}

Result<std::string> decode_public_key(std::string_view text, std::string_view what) {
  auto bytes = from_base64(text);
  if (!bytes || bytes->size() != kNodeKeyBytes)
    return fail(std::string(what) + ": it is no public key (base64 of 32 bytes)", EINVAL);
  if (sodium_init() < 0) return fail("libsodium cannot be used on this machine");
  uint8_t any[kNodeKeyBytes] = {1}, shared[kNodeKeyBytes];
  if (crypto_scalarmult(shared, any, bytes_of(*bytes)) != 0)
    return fail(std::string(what) + ": it is a point that makes every shared key the same", EINVAL);
  return std::move(*bytes);
}

std::string key_fingerprint(std::string_view public_key) {
  uint8_t digest[32];
  crypto_generichash(digest, sizeof digest, bytes_of(public_key), public_key.size(), nullptr, 0);
  return to_hex({reinterpret_cast<const char*>(digest), 8});
}

}  // namespace fairlead::cluster
