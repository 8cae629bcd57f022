#include "base/names.h"

#include <gtest/gtest.h>

namespace fairlead {
namespace {

TEST(Names, ObjectNamesCannotLeaveTheirFolder) {
  for (const char* good : {"a", "web", "web-1", "a.b_c-d", "0"}) EXPECT_TRUE(is_object_name(good)) << good;
  for (const char* bad : {"", ".", "..", "a/b", "../x", "-a", "a-", ".a", "A", "a b", "a\n", "é"})
    EXPECT_FALSE(is_object_name(bad)) << bad;
  EXPECT_TRUE(is_object_name(std::string(63, 'a')));
  EXPECT_FALSE(is_object_name(std::string(64, 'a')));
}

TEST(Names, CniGrammars) {
  EXPECT_TRUE(is_cni_id("Default-abc_1.2"));
  for (const char* bad : {"", "-a", "a/b", "..", "a b", "a;b"}) EXPECT_FALSE(is_cni_id(bad)) << bad;
  EXPECT_TRUE(is_interface_name("eth0.100-abcdef"));
  for (const char* bad : {"", ".", "..", "eth%d", "a/b", "a:b", "a b", "a\tb", "1234567890123456"})
    EXPECT_FALSE(is_interface_name(bad)) << bad;
}

TEST(Names, DnsNames) {
  EXPECT_TRUE(is_dns_name("web_1.example"));
  EXPECT_TRUE(is_dns_name(std::string(63, 'a')));
  for (const char* bad : {"", ".", "a..b", "a.", ".a", "a b", "*"}) EXPECT_FALSE(is_dns_name(bad)) << bad;
  EXPECT_FALSE(is_dns_name(std::string(64, 'a')));
}

}  // namespace
}  // namespace fairlead
