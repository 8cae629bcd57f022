#include "ctl/ipsec_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace fairlead::ctl {
namespace {

const char* kPeers = R"([
  {"node":"n2","sending":{"spi":"0x57001042","epoch":"42-aa"},"receiving":[{"spi":"0x1"},{"spi":"0x2"}]},
  {"node":"n3","sending":null,"receiving":[]},
  {"node":"n4","sending":null,"receiving":[{"spi":"0x3"}]}])";

TEST(IpsecText, SaysPerNodeWhatPasses) {
  EXPECT_EQ(ipsec_sentence(Json::parse(kPeers)),
            "n2: sends 0x57001042 (epoch 42-aa), receives 0x1 and 0x2; n3: no association, nothing passes; "
            "n4: nothing is sent, receives 0x3");
  EXPECT_EQ(ipsec_summary(Json::parse(kPeers)), "1 of 3 nodes; nothing passes both ways with n3, n4");
}

TEST(IpsecText, SaysInWhichFormAndWhatDoesNotArrive) {
  const Json peers = Json::parse(R"([
    {"node":"n2","sending":{"spi":"0x1","form":"UDP 4793","arrives":true,"reason":"of a firewall"},
     "receiving":[{"spi":"0x2","form":"ESP"}]},
    {"node":"n3","sending":{"spi":"0x3","form":"ESP","arrives":false},"receiving":[{"spi":"0x4","form":"UDP 4793"}]}])");
  EXPECT_EQ(ipsec_sentence(peers),
            "n2: sends 0x1 in UDP 4793, because of a firewall, receives 0x2 in ESP; "
            "n3: sends 0x3 in ESP, which does not arrive, receives 0x4 in UDP 4793");
  EXPECT_EQ(ipsec_summary(peers), "1 of 2 nodes, 1 of them sent to in UDP; nothing passes both ways with n3");
}

TEST(IpsecText, OfNothingSaysNothing) {
  EXPECT_EQ(ipsec_sentence(nullptr), "");
  EXPECT_EQ(ipsec_summary(Json::array()), "");
  EXPECT_EQ(ipsec_sentence(Json::array()), "no other node");
  EXPECT_EQ(ipsec_sentence(Json::parse(R"([7,{"node":3}])")), ": no association, nothing passes");
}

}  // namespace
}  // namespace fairlead::ctl
