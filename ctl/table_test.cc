#include "ctl/table.h"

#include <gtest/gtest.h>

namespace fairlead::ctl {
namespace {

TEST(Table, LinesUpColumnsWithoutTrailingSpace) {
  EXPECT_EQ(table({"NAME", "VIPS"}, {{"web", "10.0.0.1"}, {"a-long-name", ""}, {"b\xc3\xbc", "x"}}),
            "NAME         VIPS\n"
            "web          10.0.0.1\n"
            "a-long-name  -\n"
            "b\xc3\xbc           x\n");
}

TEST(Table, LetsNoControlCharacterReachTheTerminal) {
  EXPECT_EQ(table({"NAME"}, {{"a\x1b[2Jb\nc\x7f"}}), "NAME\na?[2Jb?c?\n");
  EXPECT_EQ(list({{"name", "a\rb"}}), "name:  a?b\n");
}

TEST(List, LinesUpValuesAndLeavesEmptyOnesOut) {
  EXPECT_EQ(list({{"name", "web"}, {"a very long key", ""}, {"scheduler", "rr"}}), "name:       web\nscheduler:  rr\n");
}

}  // namespace
}  // namespace fairlead::ctl
