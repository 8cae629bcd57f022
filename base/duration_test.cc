#include "base/duration.h"

#include <gtest/gtest.h>

namespace fairlead {
namespace {

TEST(Duration, IsAWholeNumberAndAUnit) {
  EXPECT_EQ(parse_duration("500ms"), 500u);
  EXPECT_EQ(parse_duration("10s"), 10000u);
  EXPECT_EQ(parse_duration("2m"), 120000u);
  EXPECT_EQ(parse_duration("1h"), 3600000u);
  EXPECT_EQ(parse_duration("0"), 0u);
  EXPECT_EQ(parse_duration("0s"), 0u);
}

TEST(Duration, RefusesWhatItWouldHaveToGuess) {
  for (const char* text : {"", "5", "s", "-1s", "+1s", " 1s", "1 s", "1.5s", "1S", "1d", "1s1", "1ss", "0x1s"})
    EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(Duration, RefusesWhatDoesNotFit) {
  EXPECT_EQ(parse_duration("4294967295ms"), UINT32_MAX);
  for (const char* text : {"4294967296ms", "1194h", "99999999999999999999s", "18446744073709551615h"})
    EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(Duration, TextComesBackAsTheSameValue) {
  for (uint32_t ms : {0u, 1u, 999u, 1000u, 1500u, 60000u, 86400000u, UINT32_MAX})
    EXPECT_EQ(parse_duration(duration_text(ms)), ms);
}

}  // namespace
}  // namespace fairlead
