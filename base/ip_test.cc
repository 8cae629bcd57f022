#include "base/ip.h"

#include <gtest/gtest.h>

namespace fairlead {
namespace {

Address a(const char* text) { return Address::parse(text).value(); }
Prefix p(const char* text) { return Prefix::parse(text).value(); }

TEST(Address, RefusesWhatIsNotCanonicallyAnAddress) {
  for (const char* bad :
       {"", "1.2.3", "01.2.3.4", "1.2.3.4 ", "::1%lo", "1.2.3.4/8", "::ffff:1.2.3.4", "x", "1.2.3.256", "12345::"})
    EXPECT_FALSE(Address::parse(bad)) << bad;
  EXPECT_FALSE(Address::parse(std::string_view("1.2.3.4\0x", 9)));
  EXPECT_EQ(a("FD32::0:5").to_string(), "fd32::5");
}

TEST(Address, CountsOverByteBordersInBothDirections) {
  EXPECT_EQ(a("10.0.0.255").plus(1), a("10.0.1.0"));
  EXPECT_EQ(a("10.0.1.0").plus(-1), a("10.0.0.255"));
  EXPECT_EQ(a("10.1.0.0").plus(-65536), a("10.0.0.0"));
  EXPECT_EQ(a("fd00::ffff").plus(1), a("fd00::1:0"));
  EXPECT_EQ(a("10.0.1.0").minus(a("10.0.0.0")), 256);
  EXPECT_EQ(a("fd00::1:0").minus(a("fd00::")), 65536);
  EXPECT_EQ(a("fd00::").minus(a("fd00::1:0")), -65536);
  EXPECT_EQ(a("ff00::").minus(a("fd00::1")), INT64_MAX);
}

TEST(Prefix, KnowsItsBordersAndWhatIsInside) {
  Prefix net = p("10.32.0.0/15");
  EXPECT_TRUE(net.contains(a("10.33.255.255")));
  EXPECT_FALSE(net.contains(a("10.34.0.0")));
  EXPECT_FALSE(net.contains(a("fd00::")));
  EXPECT_EQ(net.last(), a("10.33.255.255"));
  EXPECT_EQ(p("10.32.0.77/15").first(), a("10.32.0.0"));
  EXPECT_TRUE(p("10.32.0.77/15").has_host_bits());
  EXPECT_TRUE(p("0.0.0.0/0").contains(a("1.2.3.4")));
  EXPECT_TRUE(net.overlaps(p("10.0.0.0/8")));
  EXPECT_FALSE(net.overlaps(p("10.34.0.0/16")));
  for (const char* bad : {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/08", "10.0.0.0/-1", "fd00::/129", "/8"})
    EXPECT_FALSE(Prefix::parse(bad)) << bad;
}

TEST(Mac, ParsesOnlyTheFullForm) {
  EXPECT_EQ(Mac::parse("02:57:Ff:00:00:01")->to_string(), "02:57:ff:00:00:01");
  for (const char* bad :
       {"", "02:57:ff:00:00", "02-57-ff-00-00-01", "02:57:ff:00:00:1", "02:57:ff:00:00:0g", "02:57:ff:00:00:01 "})
    EXPECT_FALSE(Mac::parse(bad)) << bad;
  EXPECT_FALSE(Mac::random().is_multicast());
}

}  // namespace
}  // namespace fairlead
