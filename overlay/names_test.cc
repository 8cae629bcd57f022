#include "overlay/names.h"

#include <gtest/gtest.h>

#include <set>

namespace fairlead::overlay {
namespace {

// Ids that begin alike for 64 characters, as those of one runtime may, and the places where the parts meet shifted.
TEST(HostIfname, CNI_164_IsUniqueShortAndStableFor10000Attachments) {
  const std::string prefix(64, 'a');
  std::set<std::string> names;
  for (int i = 0; i < 10000; i++) {
    std::string container = prefix + std::to_string(i / 4), ifname = "eth" + std::to_string(i % 2);
    std::string network = i % 4 < 2 ? "net" : "net2";
    std::string name = host_ifname(network, container, ifname);
    EXPECT_LE(name.size(), 15u);
    EXPECT_EQ(name, host_ifname(network, container, ifname));
    names.insert(name);
  }
  EXPECT_EQ(names.size(), 10000u);
  EXPECT_NE(host_ifname("ab", "c", "d"), host_ifname("a", "bc", "d"));
  EXPECT_NE(host_ifname("a", "bc", "d"), host_ifname("a", "b", "cd"));
}

}  // namespace
}  // namespace fairlead::overlay
