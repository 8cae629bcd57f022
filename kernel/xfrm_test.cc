#include "kernel/xfrm.h"

#include <gtest/gtest.h>
#include <linux/xfrm.h>
#include <netlink/msg.h>

#include <cstring>

namespace fairlead::kernel {
namespace {

// What the kernel tells of a state or policy has the form of the request that makes it.
const nlmsghdr& header_of(const Message& m) { return *nlmsg_hdr(m.raw()); }

StateSpec spec() {
  StateSpec s;
  s.source = *Address::parse("192.0.2.1");
  s.destination = *Address::parse("192.0.2.2");
  s.spi = 0x57001042;
  return s;
}

const std::string kKey = "0123456789abcdef0123456789abcdefSALT";
Secret key() { return {kKey.data(), kKey.size()}; }

Policy policy(bool blocks) {
  Policy p;
  p.direction = Direction::kIn;
  p.source = *Prefix::parse(blocks ? "::/0" : "2001:db8::2/128");
  p.destination = *Prefix::parse(blocks ? "::/0" : "2001:db8::1/128");
  p.port = 4790;
  p.priority = blocks ? 2000 : 100;
  if (!blocks) p.esp = Template{p.source.address, p.destination.address, kRequestId, 0x1234};
  return p;
}

TEST(Xfrm, AStateIsEspInTransportModeWithTheFullStrength) {
  auto state = state_of(header_of(add_state(spec(), key())));
  ASSERT_TRUE(state);
  EXPECT_EQ(state->source, spec().source);
  EXPECT_EQ(state->destination, spec().destination);
  EXPECT_EQ(state->spi, spec().spi);
  EXPECT_EQ(state->request_id, kRequestId);
  EXPECT_TRUE(state->esp && state->transport && state->aes_gcm_256 && state->extended_sequence);
  EXPECT_GE(state->replay_window, 1024u);
  EXPECT_EQ(state->sequence_out, 0u);
  EXPECT_FALSE(state->encapsulation);
}

TEST(Xfrm, AStateInUdpNamesBothPorts) {
  StateSpec s = spec();
  s.encapsulation = Encapsulation{4500, 4501};
  EXPECT_EQ(state_of(header_of(add_state(s, key())))->encapsulation, s.encapsulation);
}

TEST(Xfrm, LimitsThatAreNotGivenAreNone) {
  StateSpec s = spec();
  s.hard_packets = 7;
  Message m = add_state(s, key());
  const auto* info = static_cast<const xfrm_usersa_info*>(NLMSG_DATA(&header_of(m)));
  EXPECT_EQ(info->lft.hard_packet_limit, 7u);
  EXPECT_EQ(info->lft.soft_packet_limit, XFRM_INF);
  EXPECT_EQ(info->lft.hard_byte_limit, XFRM_INF);
}

TEST(Xfrm, TheReplayBitmapIsZeroAndAsLongAsTheWindow) {
  Message m = add_state(spec(), key());
  auto bytes = Attributes(header_of(m), sizeof(xfrm_usersa_info)).bytes(XFRMA_REPLAY_ESN_VAL);
  ASSERT_EQ(bytes.size(), sizeof(xfrm_replay_state_esn) + kReplayWindow / 8);
  EXPECT_EQ(bytes.substr(sizeof(xfrm_replay_state_esn)), std::string(kReplayWindow / 8, '\0'));
}

TEST(Xfrm, TheKeyStandsOnceInTheRequestAndNotInItsName) {
  Message m = add_state(spec(), key());
  std::string_view all(reinterpret_cast<const char*>(&header_of(m)), header_of(m).nlmsg_len);
  size_t first = all.find(kKey);
  ASSERT_NE(first, std::string_view::npos);
  EXPECT_EQ(all.find(kKey, first + 1), std::string_view::npos);
  EXPECT_EQ(m.what(), "add security association 0x57001042 from 192.0.2.1 to 192.0.2.2");
}

TEST(Xfrm, PoliciesAreReadAsTheyWereSet) {
  for (bool blocks : {true, false})
    EXPECT_EQ(policy_of(header_of(set_policy(policy(blocks)))), policy(blocks)) << blocks;
}

TEST(Xfrm, PoliciesOfAnotherFormAreNotTakenForOurs) {
  auto changed = [](auto change) {
    Message m = set_policy(policy(true));
    change(*static_cast<xfrm_userpolicy_info*>(NLMSG_DATA(nlmsg_hdr(m.raw()))));
    return policy_of(header_of(m)).has_value();
  };
  EXPECT_TRUE(changed([](xfrm_userpolicy_info&) {}));
  EXPECT_FALSE(changed([](xfrm_userpolicy_info& i) { i.sel.proto = 6; }));
  EXPECT_FALSE(changed([](xfrm_userpolicy_info& i) { i.sel.dport_mask = 0; }));
  EXPECT_FALSE(changed([](xfrm_userpolicy_info& i) { i.sel.sport_mask = 0xffff; }));
  EXPECT_FALSE(changed([](xfrm_userpolicy_info& i) { i.sel.ifindex = 3; }));
  EXPECT_FALSE(changed([](xfrm_userpolicy_info& i) { i.dir = 4; }));                     // a socket's own policy
  EXPECT_FALSE(changed([](xfrm_userpolicy_info& i) { i.action = XFRM_POLICY_ALLOW; }));  // lets everything pass
}

TEST(Xfrm, ShortMessagesAreRefused) {
  Message m = set_policy(policy(false));
  nlmsg_hdr(m.raw())->nlmsg_len = NLMSG_LENGTH(sizeof(xfrm_userpolicy_info) - 1);
  EXPECT_FALSE(policy_of(header_of(m)));
  Message s = add_state(spec(), key());
  nlmsg_hdr(s.raw())->nlmsg_len = NLMSG_LENGTH(20);
  EXPECT_FALSE(state_of(header_of(s)));
}

}  // namespace
}  // namespace fairlead::kernel
