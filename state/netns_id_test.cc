#include "state/netns_id.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace fairlead {
namespace {

const std::string kOwn = "/proc/self/ns/net";

TEST(NetnsId, IsTheNumberTheKernelShows) {
  char text[64];
  ssize_t n = ::readlink(kOwn.c_str(), text, sizeof text);
  ASSERT_GT(n, 0);
  EXPECT_EQ(std::string(text, static_cast<size_t>(n)), "net:[" + std::to_string(netns_inode(kOwn)) + "]");
}

TEST(NetnsId, ANamespaceIsThereWhileItsPathLeadsToIt) {
  EXPECT_EQ(netns_state(kOwn, netns_inode(kOwn)), NetnsState::kThere);
  EXPECT_EQ(netns_state(kOwn, 0), NetnsState::kThere) << "not written down: any will do";
}

TEST(NetnsId, AnotherNamespaceAtThePathOrNoneMeansGone) {
  EXPECT_EQ(netns_state(kOwn, netns_inode(kOwn) + 1), NetnsState::kGone);
  EXPECT_EQ(netns_state("/run/netns/there is none", 1), NetnsState::kGone);
  EXPECT_EQ(netns_state("/proc/self/status/x", 1), NetnsState::kGone);
}

TEST(NetnsId, AFileThatIsNoNamespaceIsWhatADeadOneLeaves) {
  char file[] = "/tmp/netns-id-XXXXXX";
  int fd = ::mkstemp(file);
  ASSERT_GE(fd, 0);
  ::close(fd);
  EXPECT_EQ(netns_inode(file), 0u);
  EXPECT_EQ(netns_state(file, 0), NetnsState::kGone);
  ::unlink(file);
}

TEST(NetnsId, WhatCannotBeLookedAtProvesNothing) {
  EXPECT_EQ(netns_state("", 1), NetnsState::kUnknown);
  EXPECT_EQ(netns_state(std::string(5000, 'x'), 1), NetnsState::kUnknown) << "ENAMETOOLONG";
}

}  // namespace
}  // namespace fairlead
