#include "ctl/preflight_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace fairlead::ctl {
namespace {

TEST(PreflightText, HasALineForEachThingAndMarksWhatIsMissing) {
  const Json found{{"good", false},
                   {"peers",
                    {{{"name", "n1"},
                      {"address", "192.0.2.1"},
                      {"findings",
                       {{{"what", "clock"}, {"state", "passes"}, {"text", "0.1 s apart"}},
                        {{"what", "IPsec in UDP"}, {"state", "missing"}, {"text", "UDP 4793 does not"}},
                        {{"what", "MTU"}, {"state", "unknown"}, {"text", "not known"}}}}}}}};
  EXPECT_EQ(preflight_text(found, "n3"),
            "between n3 and n1 (192.0.2.1):\n"
            "  clock         0.1 s apart\n"
            "! IPsec in UDP  UDP 4793 does not\n"
            "  MTU           not known\n");
}

TEST(PreflightText, SaysWhyAManagerCouldNotBeTriedAndPrintsNothingATerminalObeys) {
  const Json found{{"peers", {{{"address", "192.0.2.1"}, {"problem", "a\x1b[2J\nb"}}}}};
  EXPECT_EQ(preflight_text(found, "n3"), "between n3 and 192.0.2.1:\n!               could not be tried: a?[2J?b\n");
  EXPECT_EQ(preflight_text(Json::object(), "n1"), "no other manager: there is nothing to try yet\n");
}

}  // namespace
}  // namespace fairlead::ctl
