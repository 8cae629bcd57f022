#include "overlay/egress_wall.h"

#include <gtest/gtest.h>

namespace fairlead::overlay {
namespace {

constexpr int64_t kDrop = 2, kPass = -1;

// What the kernel does with the program, as far as it goes: packet is what begins with the IP header.
int64_t run(const std::vector<sock_filter>& program, uint32_t protocol, const std::string& packet) {
  uint32_t a = 0, x = 0;
  auto byte = [&](uint32_t at) -> uint32_t {
    const uint32_t from = at - static_cast<uint32_t>(SKF_NET_OFF);
    return from < packet.size() ? static_cast<uint8_t>(packet[from]) : 0;
  };
  for (size_t pc = 0; pc < program.size(); pc++) {
    const sock_filter& i = program[pc];
    switch (i.code) {
      case BPF_LD | BPF_H | BPF_ABS:
        a = i.k == static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_PROTOCOL) ? protocol : byte(i.k) << 8 | byte(i.k + 1);
        break;
      case BPF_LD | BPF_B | BPF_ABS:
        a = byte(i.k);
        break;
      case BPF_LD | BPF_H | BPF_IND:
        a = byte(x + i.k) << 8 | byte(x + i.k + 1);
        break;
      case BPF_LDX | BPF_B | BPF_MSH:
        x = (byte(i.k) & 0xf) * 4;
        break;
      case BPF_JMP | BPF_JA:
        pc += i.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        pc += a == i.k ? i.jt : i.jf;
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        pc += a & i.k ? i.jt : i.jf;
        break;
      case BPF_RET | BPF_K:
        return static_cast<int32_t>(i.k);
      default:
        ADD_FAILURE() << "instruction " << pc << ": " << i.code;
        return 0;
    }
  }
  ADD_FAILURE() << "the program has no end";
  return 0;
}

std::string udp(uint16_t port) {
  return std::string("\x80\x00", 2) + static_cast<char>(port >> 8) + static_cast<char>(port & 0xff) + "....";
}

std::string four(uint8_t protocol, const std::string& payload, uint16_t fragment = 0, size_t options = 0) {
  std::string ip(20 + options, '\0');
  ip[0] = static_cast<char>(0x45 + options / 4);
  ip[6] = static_cast<char>(fragment >> 8);
  ip[7] = static_cast<char>(fragment & 0xff);
  ip[9] = static_cast<char>(protocol);
  return ip + payload;
}

std::string six(uint8_t next, const std::string& payload) {
  std::string ip(40, '\0');
  ip[0] = 0x60;
  ip[6] = static_cast<char>(next);
  return ip + payload;
}

std::string fragment6(uint8_t next, uint16_t offset, const std::string& payload) {
  std::string header(8, '\0');
  header[0] = static_cast<char>(next);
  header[2] = static_cast<char>(offset >> 8);
  header[3] = static_cast<char>(offset & 0xff);
  return six(44, header + payload);
}

TEST(EgressWall, DropsUdpToThePortsAndNothingElse) {
  const auto program = egress_program({4790, 4791, 7000});
  EXPECT_LT(program.size(), 64u);
  for (uint16_t port : {4790, 4791, 7000}) {
    EXPECT_EQ(run(program, 0x0800, four(17, udp(port))), kDrop) << port;
    EXPECT_EQ(run(program, 0x0800, four(17, udp(port), 0, 8)), kDrop) << "behind options";
    EXPECT_EQ(run(program, 0x0800, four(17, udp(port), 0x2000)), kDrop) << "the first fragment";
    EXPECT_EQ(run(program, 0x0800, four(17, udp(port), 0x4000)), kDrop) << "not to be fragmented";
    EXPECT_EQ(run(program, 0x86dd, six(17, udp(port))), kDrop);
    EXPECT_EQ(run(program, 0x86dd, fragment6(17, 1, udp(port))), kDrop) << "the first fragment";
  }
  for (uint16_t port : {4789, 4792, 4793, 53}) {
    EXPECT_EQ(run(program, 0x0800, four(17, udp(port))), kPass) << port;
    EXPECT_EQ(run(program, 0x86dd, six(17, udp(port))), kPass) << port;
  }
  for (uint8_t protocol : {6, 50}) {
    EXPECT_EQ(run(program, 0x0800, four(protocol, udp(4790))), kPass);
    EXPECT_EQ(run(program, 0x86dd, six(protocol, udp(4790))), kPass);
    EXPECT_EQ(run(program, 0x86dd, fragment6(protocol, 0, udp(4790))), kPass);
  }
  EXPECT_EQ(run(program, 0x0800, four(17, udp(4790), 0x2001)), kPass) << "payload that looks like a port";
  EXPECT_EQ(run(program, 0x86dd, fragment6(17, 8, udp(4790))), kPass);
  EXPECT_EQ(run(program, 0x0806, four(17, udp(4790))), kPass) << "ARP";
}

TEST(EgressWall, HoldsAsManyPortsAsThereAre) {
  std::vector<uint16_t> ports;
  for (uint16_t port = 1000; port < 1600; port++) ports.push_back(port);
  const auto program = egress_program(ports);
  EXPECT_LT(program.size(), static_cast<size_t>(BPF_MAXINSNS));
  EXPECT_EQ(run(program, 0x0800, four(17, udp(1599))), kDrop);
  EXPECT_EQ(run(program, 0x86dd, six(17, udp(1000))), kDrop);
  EXPECT_EQ(run(program, 0x86dd, six(17, udp(1600))), kPass);
}

TEST(EgressWall, IsForTheEncryptedNetworksOfBothKindsWhereThereAreOtherNodes) {
  auto network = [](const char* name, const char* encryption, uint32_t port) {
    Network n;
    n.name = name;
    n.encryption = encryption;
    n.vxlan_port = port;
    return n;
  };
  const std::vector<Network> networks{network("a", "ipsec", 0), network("b", "wireguard", 0), network("c", "none", 0),
                                      network("d", "ipsec", 7000), network("e", "ipsec", 4789)};
  const std::vector<Node> nodes{{"n1", 1, *Address::parse("192.0.2.1"), ""},
                                {"n2", 2, *Address::parse("192.0.2.2"), ""},
                                {"n3", 3, *Address::parse("2001:db8::3"), ""}};
  const auto facts = egress_facts(networks, nodes, "n1");
  EXPECT_EQ(facts.ports, (std::vector<uint16_t>{4790, 4791, 7000}));
  EXPECT_EQ(facts.self.to_string(), "192.0.2.1");
  ASSERT_EQ(facts.peers.size(), 1u);
  EXPECT_EQ(facts.peers[0].to_string(), "192.0.2.2");
  EXPECT_EQ(egress_facts(networks, {}, "n1"), EgressFacts{});
}

}  // namespace
}  // namespace fairlead::overlay
