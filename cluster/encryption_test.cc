// Test vectors of docs/encryption.md. They were made with PyNaCl and hashlib, not with this code;
// conformance/encryption compares the running program with those, too.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "cluster/association_key.h"
#include "cluster/encoding.h"
#include "cluster/epoch_seal.h"
#include "cluster/node_keys.h"

namespace fairlead::cluster {
namespace {

std::string counting(uint8_t first, size_t count) {
  std::string bytes;
  for (size_t i = 0; i < count; i++) bytes += static_cast<char>(first + i);
  return bytes;
}
LockedBytes locked(const std::string& bytes) {
  auto result = LockedBytes::make(bytes.size());
  memcpy(result->data(), bytes.data(), bytes.size());
  return std::move(*result);
}
std::string hex(const Secret& secret) { return to_hex({reinterpret_cast<const char*>(secret.data()), secret.size()}); }

const std::string kPrivateA = counting(1, 32), kPrivateB = counting(101, 32), kEpochSecret = counting(0, 32);
constexpr const char* kPublicA = "07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c";
constexpr const char* kPublicB = "5714769d116bf76436ae74bc793d2c30ad1903c59ac5273805c7e2698b410c36";
constexpr const char* kEpoch = "42-9f3ac1d2";

AssociationName example() { return {kEpoch, "n1", "n2", counting(0x40, 16), counting(0x80, 16), 0x12345678}; }

TEST(NodeKeys, PublicKeysAndFingerprints) {
  EXPECT_EQ(to_hex(public_key_of(locked(kPrivateA))), kPublicA);
  EXPECT_EQ(to_hex(public_key_of(locked(kPrivateB))), kPublicB);
  EXPECT_EQ(key_fingerprint(public_key_of(locked(kPrivateA))), "f895e0f69f4946fe");
}

TEST(NodeKeys, WhatIsNoPublicKeyIsRefused) {
  for (const std::string& bytes : {std::string(32, '\0'), "\1" + std::string(31, '\0'), std::string(31, 'x')})
    EXPECT_FALSE(decode_public_key(to_base64(bytes), "x")) << to_hex(bytes);
  EXPECT_FALSE(decode_public_key("no base64!", "x"));
  EXPECT_TRUE(decode_public_key(to_base64(public_key_of(locked(kPrivateA))), "x"));
}

TEST(AssociationKey, BothNodesComeToTheVector) {
  auto secret = locked(kEpochSecret);
  auto at_a = derive_association_key(secret, example(), locked(kPrivateA), public_key_of(locked(kPrivateB)));
  auto at_b = derive_association_key(secret, example(), locked(kPrivateB), public_key_of(locked(kPrivateA)));
  ASSERT_TRUE(at_a && at_b);
  EXPECT_EQ(hex(*at_a), "54dbb71227b567f80fe6c0a2f5cdbcc19e5dd9150439d1ccc309b2296a1b0cdab1fc66fb");
  EXPECT_TRUE(at_a->equals(*at_b));
  auto back = example();
  std::swap(back.sender, back.receiver);
  EXPECT_EQ(hex(*derive_association_key(secret, back, locked(kPrivateA), public_key_of(locked(kPrivateB)))),
            "7c27cfbc49fea34b71fa8a833ba066a47606a10259a1ad4b133dea44e22c521c1e841f99");
}

TEST(AssociationKey, EveryPartOfTheNameCounts) {
  auto secret = locked(kEpochSecret), a = locked(kPrivateA);
  const std::string b = public_key_of(locked(kPrivateB));
  auto key = [&](const AssociationName& name) { return hex(*derive_association_key(secret, name, a, b)); };
  std::vector<AssociationName> names(8, example());
  names[1].epoch = "43-9f3ac1d2";
  names[2].sender = "n";
  names[2].receiver = "1n2";  // the same letters, another border
  names[3].receiver = "n3";
  names[4].instance[15] ^= 1;
  names[5].nonce[0] ^= 1;
  names[6].spi++;
  std::swap(names[7].instance, names[7].nonce);
  std::set<std::string> keys;
  for (const auto& name : names) keys.insert(key(name));
  EXPECT_EQ(keys.size(), names.size());
  auto short_nonce = example();
  short_nonce.nonce.pop_back();
  EXPECT_FALSE(derive_association_key(secret, short_nonce, a, b));
  EXPECT_FALSE(derive_association_key(secret, example(), a, std::string(32, '\0')));
}

// Sealed by PyNaCl to the public key B: a byte 1, the epoch's id, the bytes 0 to 31.
constexpr const char* kSealed =
    "eTBTmyT1rp67aanWEfkJhYZt93D84xTHSxXdd7G2IlXNryfGlkkmPL4D63VTrP7lqcVn1ywfckG+cnTA+VEjAn+7IDaxFEf/P0ahbuJgEcKU/"
    "cmKvb6KAZup1ag=";
// The same with a byte 2: a format nobody has defined yet.
constexpr const char* kFuture =
    "8HFD4MVvFFHWTqV8gj8gmTtru5bVkleIXOwYWxr5igaJhTX7iGaEzfp3VgX4z+o9s21JRWumRsmnue+z2aot6mtlXbew/"
    "m66CRc7kIYzRBXEEM4fXbKY10+mIdw=";

TEST(EpochSeal, OpensWhatAnotherProgramSealed) {
  auto opened = open_epoch(kEpoch, *from_base64(kSealed), locked(kPrivateB));
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(memcmp(opened->data(), kEpochSecret.data(), 32), 0);
}

TEST(EpochSeal, OnlyItsNodeOpensItAndOnlyWhole) {
  auto secret = locked(kEpochSecret);
  auto sealed = seal_epoch(kEpoch, secret, public_key_of(locked(kPrivateB)));
  ASSERT_TRUE(sealed);
  EXPECT_EQ(sealed->size(), 48u + 1 + strlen(kEpoch) + 32);
  EXPECT_EQ(sealed->find(kEpochSecret), std::string::npos);
  EXPECT_TRUE(open_epoch(kEpoch, *sealed, locked(kPrivateB)));
  EXPECT_FALSE(open_epoch(kEpoch, *sealed, locked(kPrivateA)));
  EXPECT_FALSE(open_epoch("42-9f3ac1d3", *sealed, locked(kPrivateB)));
  for (size_t i = 0; i < sealed->size(); i++) {
    std::string changed = *sealed;
    changed[i] = static_cast<char>(changed[i] ^ 0x10);
    EXPECT_FALSE(open_epoch(kEpoch, changed, locked(kPrivateB))) << i;
    EXPECT_FALSE(open_epoch(kEpoch, sealed->substr(0, i), locked(kPrivateB))) << i;
  }
}

TEST(EpochSeal, AFormatThatIsNotInTheTableIsNamed) {
  auto opened = open_epoch(kEpoch, *from_base64(kFuture), locked(kPrivateB));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().sys, EPROTO);
  EXPECT_NE(opened.error().message.find("format 2"), std::string::npos) << opened.error().message;
}

TEST(EpochSeal, Ids) {
  for (const char* good : {"1-00000000", "42-9f3ac1d2", "4294967295-ffffffff"}) EXPECT_TRUE(is_epoch_id(good)) << good;
  for (const char* bad : {"", "-9f3ac1d2", "42", "42-", "42-9f3ac1d", "42-9f3ac1d22", "42-9F3AC1D2", "0-9f3ac1d2",
                          "x2-9f3ac1d2", "../../x-9f3ac1d2", "12345678901-00000000"})
    EXPECT_FALSE(is_epoch_id(bad)) << bad;
  EXPECT_TRUE(is_epoch_id(make_epoch_id(7)));
  EXPECT_EQ(epoch_number("42-9f3ac1d2"), 42u);
  EXPECT_EQ(epoch_number("x"), 0u);
}

class NodeKeyFiles : public testing::Test {
 protected:
  NodeKeyFiles() {
    char name[] = "/tmp/fairlead-keys-XXXXXX";
    folder_ = ::mkdtemp(name);
    paths_.state = folder_ + "/state";
    paths_.run = folder_ + "/run";
  }
  ~NodeKeyFiles() override { std::filesystem::remove_all(folder_); }
  static unsigned mode(const std::string& path) {
    struct stat st {};
    return ::stat(path.c_str(), &st) == 0 ? st.st_mode & 07777 : 0;
  }
  std::string folder_;
  Paths paths_;
};

TEST_F(NodeKeyFiles, AreMadeOnceAndReadableByRootOnly) {
  for (mode_t mask : {0000, 0077}) {
    mode_t before = ::umask(mask);
    auto keys = ensure_node_keys(paths_);
    ::umask(before);
    ASSERT_TRUE(keys) << keys.error().message;
    EXPECT_EQ(mode(node_keys_folder(paths_)), 0700u);
    EXPECT_EQ(mode(seal_key_path(paths_)), 0600u);
    EXPECT_EQ(mode(wireguard_key_path(paths_)), 0600u);
    EXPECT_EQ(*ensure_node_keys(paths_), *keys);
    EXPECT_EQ(*load_public_keys(paths_), *keys);
    EXPECT_NE(keys->seal, keys->wireguard);
    auto text = read_file(public_keys_path(paths_));
    auto secret = read_file(seal_key_path(paths_));
    EXPECT_EQ((*text)->find((*secret)->substr(0, 40)), std::string::npos);
    std::filesystem::remove_all(paths_.state);
  }
}

TEST_F(NodeKeyFiles, WithOtherModesAreRefusedByName) {
  ASSERT_TRUE(ensure_node_keys(paths_));
  for (const auto& path : {node_keys_folder(paths_), seal_key_path(paths_), wireguard_key_path(paths_)}) {
    const unsigned good = mode(path);
    for (unsigned bad : {good | 040u, good | 04u, good | 020u}) {
      ::chmod(path.c_str(), bad);
      auto checked = check_node_keys(paths_);
      ASSERT_FALSE(checked) << path << " " << std::oct << bad;
      EXPECT_NE(checked.error().message.find(path), std::string::npos);
      EXPECT_NE(checked.error().message.find("chmod"), std::string::npos);
      EXPECT_FALSE(ensure_node_keys(paths_));
    }
    ::chmod(path.c_str(), good);
  }
  EXPECT_TRUE(check_node_keys(paths_));
  ASSERT_TRUE(replace_file(seal_key_path(paths_), "nonsense\n", Durability::kBoot, 0600));
  auto checked = check_node_keys(paths_);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().message.find("nonsense"), std::string::npos) << "what is in the file is not repeated";
}

}  // namespace
}  // namespace fairlead::cluster
