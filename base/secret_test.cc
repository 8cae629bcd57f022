#include "base/secret.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <type_traits>

namespace fairlead {
namespace {

const std::string kKey = "0123456789abcdef0123456789abcdefSALT";

// Whether any part of the object's own memory still holds the beginning of the key.
bool holds_key(const void* memory) {
  const auto* bytes = static_cast<const char*>(memory);
  return std::search(bytes, bytes + sizeof(Secret), kKey.begin(), kKey.begin() + 8) != bytes + sizeof(Secret);
}

TEST(Secret, IsZeroedWhenItEnds) {
  alignas(Secret) char memory[sizeof(Secret)] = {};
  auto* secret = new (memory) Secret(kKey.data(), kKey.size());
  ASSERT_TRUE(holds_key(memory));
  secret->~Secret();
  EXPECT_FALSE(holds_key(memory));
}

TEST(Secret, LeavesNothingWhereItWasMovedFrom) {
  Secret from(kKey.data(), kKey.size());
  const Secret& left = from;
  Secret to(std::move(from));
  EXPECT_FALSE(holds_key(&left));
  EXPECT_TRUE(left.empty());
  ASSERT_TRUE(holds_key(&to));
  const Secret& left_too = to;
  Secret again(3);
  again = std::move(to);
  EXPECT_FALSE(holds_key(&left_too));
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(again.data()), again.size()), kKey);
  again = Secret();
  EXPECT_FALSE(holds_key(&again));
}

TEST(Secret, IsNotCopiedByAccident) {
  EXPECT_FALSE(std::is_copy_constructible_v<Secret>);
  EXPECT_FALSE(std::is_copy_assignable_v<Secret>);
}

TEST(Secret, ComparesLengthAndEveryByte) {
  Secret a(kKey.data(), kKey.size());
  Secret b = a.copy();
  EXPECT_TRUE(a.equals(b));
  b.data()[35] ^= 1;
  EXPECT_FALSE(a.equals(b));
  EXPECT_FALSE(a.equals(Secret(kKey.data(), kKey.size() - 1)));
}

}  // namespace
}  // namespace fairlead
