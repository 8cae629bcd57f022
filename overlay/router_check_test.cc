#include "overlay/router_check.h"

#include <gtest/gtest.h>

#include "overlay/names.h"
#include "overlay/router_rules.h"

namespace fairlead::overlay {
namespace {

TEST(RouterCheck, CNI113KnowsWhichChainsHaveRules) {
  EXPECT_EQ(
      chains_with_rules_in("table inet x {}\ndelete table inet x\ntable inet x {\n  chain a {\n    type filter hook "
                           "input priority 0; policy drop;\n  }\n  chain b {\n    counter\n  }\n}\n"),
      std::set<std::string>{"b"});
}

TEST(RouterCheck, CNI113ExpectsTheChainsOfARouter) {
  Network n;
  n.name = "appnet";
  n.subnets = {*Prefix::parse("10.32.0.0/16")};
  Router router = make_router(n, 3, 1450);
  auto chains = chains_with_rules_in(router_rules(n, router));
  EXPECT_EQ(chains, (std::set<std::string>{"prerouting", "forward", "errors", "input", "from_container", "from_uplink",
                                           "postrouting"}));
  Mesh mesh{1, *Address::parse("192.0.2.1"), {}, {}};
  EXPECT_EQ(chains_with_rules_in(router_rules(n, router, &mesh)), chains);
}

}  // namespace
}  // namespace fairlead::overlay
