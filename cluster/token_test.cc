#include "cluster/token.h"

#include <gtest/gtest.h>

#include "cluster/encoding.h"

namespace fairlead::cluster {
namespace {

TEST(Encoding, Base64AndBase32AreThoseOfRfc4648) {
  EXPECT_EQ(to_base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(to_base64("fooba"), "Zm9vYmE=");
  EXPECT_EQ(to_base64("foob"), "Zm9vYg==");
  EXPECT_EQ(to_base32("foobar"), "MZXW6YTBOI");
  for (std::string bytes : {std::string(), std::string("f"), std::string("\0\xff\x80", 3), random_bytes(33)}) {
    EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
    EXPECT_EQ(from_base32(to_base32(bytes)), bytes);
  }
}

TEST(Encoding, TakesOneTextForAValueOnly) {
  for (const char* bad : {"Zm9vYmE", "Zm9vYmF=", "Zg=a", "====", "Zm9v YmFy",
                          "Zm9vYg=="
                          "Zm9v"})
    EXPECT_FALSE(from_base64(bad)) << bad;
  EXPECT_FALSE(from_base32("MZXW6YTBOJ"));  // bits of the last letter that mean nothing
  EXPECT_FALSE(from_base32("M"));
  EXPECT_EQ(from_base32("mzxw6ytboi"), "foobar");
}

TEST(Encoding, DerivesAsRfc5869) {
  // Test case 3 of the RFC: no salt, no info.
  EXPECT_EQ(to_hex(derive(std::string(22, '\x0b'), "", 42)),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST(Token, IsReadAsItWasWritten) {
  Token token = make_token(sha256("root"));
  auto read = parse_token("  " + to_text(token) + "\n");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->root_digest, token.root_digest);
  EXPECT_EQ(read->secret, token.secret);
  EXPECT_EQ(to_text(token).size(), std::string("FAIRLEAD-1-").size() + 52 + 1 + 26);
}

TEST(Token, SaysWhatIsWrongButNeverWhatWasGiven) {
  const std::string good = to_text(make_token(sha256("root")));
  for (const std::string& bad :
       {std::string(), std::string("\n"), std::string("SWMTKN-1-x"), good.substr(0, good.size() - 1), good + "A",
        good.substr(0, 40), std::string("FAIRLEAD-1--"), std::string("FAIRLEAD-1-") + std::string(100000, 'A')}) {
    auto read = parse_token(bad);
    ASSERT_FALSE(read) << bad.substr(0, 80);
    EXPECT_EQ(read.error().message.find("AAAA"), std::string::npos);
    EXPECT_LT(read.error().message.size(), 200u);
  }
}

TEST(Token, WhatTheStoreHoldsDoesNotLeadToTheProof) {
  Token a = make_token(sha256("root")), b = a;
  b.root_digest = sha256("another root");
  EXPECT_NE(handshake_key(a), join_proof(a));
  EXPECT_NE(token_id(a), token_id(b));
  EXPECT_NE(handshake_key(a), handshake_key(b));
  EXPECT_EQ(token_id(a).size(), 16u);
}

}  // namespace
}  // namespace fairlead::cluster
