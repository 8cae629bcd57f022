#include "agent/ipsec_status.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "overlay/ipsec_plan.h"

namespace fairlead::agent {
namespace {

Node node(const std::string& name, const std::string& address) {
  Node n;
  n.name = name;
  n.address = *Address::parse(address);
  return n;
}

kernel::State state(const std::string& from, const std::string& to, uint32_t spi) {
  kernel::State s;
  s.source = *Address::parse(from);
  s.destination = *Address::parse(to);
  s.spi = spi;
  s.request_id = kernel::kRequestId;
  s.packets = spi * 10;
  return s;
}

const std::vector<Node> kNodes{node("n1", "192.0.2.1"), node("n2", "192.0.2.2"), node("n3", "192.0.2.3")};

TEST(IpsecStatus, TellsPerPeerWhatIsSentAndReceivedWith) {
  auto out = overlay::peer_policy(kernel::Direction::kOut, kNodes[0].address, kNodes[1].address, 4790, 7);
  auto foreign = state("192.0.2.2", "192.0.2.1", 99);
  foreign.request_id = 1;
  auto peers = ipsec_peers(kNodes, "n1",
                           {state("192.0.2.1", "192.0.2.2", 6), state("192.0.2.1", "192.0.2.2", 7),
                            state("192.0.2.2", "192.0.2.1", 8), state("192.0.2.2", "192.0.2.1", 9), foreign},
                           {out}, {{7, "42-aa"}});
  ASSERT_EQ(peers.size(), 2u);
  EXPECT_EQ(peers[0].node, "n2");
  ASSERT_TRUE(peers[0].sending);
  EXPECT_EQ(peers[0].sending->spi, 7u);
  EXPECT_EQ(peers[0].sending->epoch, "42-aa");
  EXPECT_EQ(peers[0].sending->packets, 70u);
  EXPECT_EQ(peers[0].receiving.size(), 2u);
  EXPECT_FALSE(peers[1].sending);
  EXPECT_TRUE(peers[1].receiving.empty());
}

TEST(IpsecStatus, APolicyWhoseAssociationIsGoneSendsNothing) {
  auto out = overlay::peer_policy(kernel::Direction::kOut, kNodes[0].address, kNodes[1].address, 4790, 7);
  EXPECT_FALSE(ipsec_peers(kNodes, "n1", {state("192.0.2.1", "192.0.2.2", 6)}, {out}, {})[0].sending);
}

TEST(IpsecStatus, TheKernelsCountersBecomeSamples) {
  auto text = ipsec_metrics("XfrmInError             \t0\nXfrmInNoStates          \t3\n");
  EXPECT_NE(text.find("fairlead_ipsec_errors_total{reason=\"InNoStates\"} 3\n"), std::string::npos);
  EXPECT_EQ(ipsec_metrics(""), "");
}

}  // namespace
}  // namespace fairlead::agent
