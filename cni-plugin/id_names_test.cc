#include "cni-plugin/id_names.h"

#include <gtest/gtest.h>

namespace fairlead::plugin {
namespace {

using namespace std::string_literals;
using Names = std::vector<std::string>;

const std::string kShim =
    "/usr/bin/containerd-shim-runc-v2\0-namespace\0default\0-id\0web-1\0-address\0/run/containerd/containerd.sock\0"s;

TEST(IdNames, TheShimSaysWhichPartOfAnIdIsTheNamespace) {
  EXPECT_EQ(id_from_shim(kShim, "default-web-1"), "web-1");
  EXPECT_EQ(id_from_shim("containerd-shim-runc-v2\0-id\0b-c\0-namespace\0a\0"s, "a-b-c"), "b-c");
  EXPECT_EQ(id_from_shim("containerd-shim-runc-v2\0-id\0c\0-namespace\0a-b\0"s, "a-b-c"), "c");
}

TEST(IdNames, AnybodyElseSaysNothing) {
  EXPECT_EQ(id_from_shim(kShim, "default-web-2"), "");
  EXPECT_EQ(id_from_shim(kShim, "web-1"), "");
  EXPECT_EQ(id_from_shim("/bin/sh\0-namespace\0default\0-id\0web-1\0"s, "default-web-1"), "");
  EXPECT_EQ(id_from_shim("containerd-shim\0-namespace"s, "default-web-1"), "");
  EXPECT_EQ(id_from_shim("containerd-shim\0-namespace\0\0-id\0\0"s, "-"), "");
  EXPECT_EQ(id_from_shim("", "default-web-1"), "");
  EXPECT_EQ(id_from_shim("\0\0"s, "default-web-1"), "");
}

TEST(IdNames, AnIdAPersonChoseIsAName) {
  EXPECT_EQ(names_from_id("web-1", "/run/netns/web-1"), Names{"web-1"});
  EXPECT_EQ(names_from_id("web-1", "/proc/self/ns/net"), Names{"web-1"});
  EXPECT_EQ(names_from_id("web-1", "/proc//ns/net"), Names{"web-1"});
  EXPECT_EQ(names_from_id("web-1", "/proc/1/ns/net"), Names{"web-1"}) << "process 1 has no shim above it";
  EXPECT_EQ(names_from_id("web-1", "/proc/4194304999/ns/net"), Names{"web-1"}) << "there is no such process";
  EXPECT_EQ(names_from_id(std::string(64, 'a'), ""), Names{});
  EXPECT_EQ(names_from_id("_not.a..name", ""), Names{});
}

}  // namespace
}  // namespace fairlead::plugin
