#include "state/vxlan_port.h"

#include <gtest/gtest.h>

namespace fairlead {
namespace {

Network network(const std::string& name, const std::string& encryption, uint32_t port = 0) {
  Network n;
  n.name = name;
  n.encryption = encryption;
  n.vxlan_port = port;
  return n;
}

TEST(VxlanPort, IsOneForEachKindOfEncryptionUnlessTheNetworkNamesIt) {
  EXPECT_EQ(vxlan_port(network("a", "none")), 4789);
  EXPECT_EQ(vxlan_port(network("a", "ipsec")), 4790);
  EXPECT_EQ(vxlan_port(network("a", "wireguard")), 4791);
  EXPECT_EQ(vxlan_port(network("a", "ipsec", 7000)), 7000);
}

TEST(PortConflict, OneOfTwoKindsOfEncryptionOnOnePortIsRefused) {
  auto plain = network("plain", "none", 8472), secret = network("secret", "ipsec", 8472);
  EXPECT_NE(port_conflict(plain, {plain, secret}).find("network secret"), std::string::npos);
  EXPECT_EQ(port_conflict(secret, {plain, secret}), "");
  EXPECT_EQ(port_conflict(plain, {plain, network("other", "none", 8472)}), "");
}

TEST(PortConflict, TheUsualPortOfAnotherKindIsNotForTheTaking) {
  EXPECT_NE(port_conflict(network("a", "ipsec", 4789), {}), "");
  EXPECT_NE(port_conflict(network("a", "none", 4790), {}), "");
  EXPECT_EQ(port_conflict(network("a", "ipsec", 4790), {}), "");
  EXPECT_EQ(port_conflict(network("a", "none"), {network("b", "ipsec", 4789)}), "");
}

TEST(PortTaken, WhoComesLaterIsRefusedWhateverItIs) {
  auto plain = network("plain", "none", 8472), secret = network("secret", "ipsec", 8472);
  EXPECT_NE(port_taken(secret, {plain}), "");
  EXPECT_NE(port_taken(plain, {secret}), "");
  EXPECT_EQ(port_taken(network("third", "ipsec", 8472), {secret}), "");
  EXPECT_NE(port_taken(network("a", "none", 4790), {}), "");
}

}  // namespace
}  // namespace fairlead
