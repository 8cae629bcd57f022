#include "overlay/egress_wall.h"

#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>

#include <algorithm>
#include <set>

#include "state/vxlan_port.h"

namespace fairlead::overlay {
namespace {

constexpr auto kNetwork = static_cast<uint32_t>(SKF_NET_OFF);  // of the IP header, whatever the link puts before it
constexpr uint32_t kFragment = 44;                             // IPPROTO_FRAGMENT

sock_filter load_byte(uint32_t at) { return BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kNetwork + at); }
sock_filter load_half(uint32_t at) { return BPF_STMT(BPF_LD | BPF_H | BPF_ABS, kNetwork + at); }
sock_filter give(int verdict) { return BPF_STMT(BPF_RET | BPF_K, static_cast<uint32_t>(verdict)); }
sock_filter go_on(size_t instructions) { return BPF_STMT(BPF_JMP | BPF_JA, static_cast<uint32_t>(instructions)); }
// The next instruction when it is so; else the one behind it.
sock_filter if_equal(uint32_t value) { return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1); }
sock_filter if_any_bit(uint32_t mask) { return BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, mask, 0, 1); }
sock_filter unless_equal(uint32_t value) { return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0); }

}  // namespace

EgressFacts egress_facts(const std::vector<Network>& networks, const std::vector<Node>& nodes,
                         const std::string& self) {
  EgressFacts facts;
  auto own = std::find_if(nodes.begin(), nodes.end(), [&](const Node& n) { return n.name == self; });
  if (own == nodes.end()) return facts;
  std::set<uint16_t> ports;
  for (const auto& network : networks)
    if (network.encryption != "none" && port_conflict(network, networks).empty()) ports.insert(vxlan_port(network));
  facts.ports.assign(ports.begin(), ports.end());
  facts.self = own->address;
  std::set<Address> peers;
  for (const auto& node : nodes)
    if (node.address.family() == own->address.family() && node.address != own->address) peers.insert(node.address);
  facts.peers.assign(peers.begin(), peers.end());
  return facts;
}

std::vector<sock_filter> egress_program(const std::vector<uint16_t>& ports) {
  // Each ends with the UDP destination port in the accumulator. RFC 791, RFC 8200, RFC 768.
  const std::vector<sock_filter> four{load_byte(9),
                                      unless_equal(IPPROTO_UDP),
                                      give(TC_ACT_UNSPEC),
                                      load_half(6),
                                      if_any_bit(0x1fff),
                                      give(TC_ACT_UNSPEC),  // a later fragment has no ports
                                      BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, kNetwork),
                                      BPF_STMT(BPF_LD | BPF_H | BPF_IND, kNetwork + 2)};
  const std::vector<sock_filter> fragment{load_byte(40), unless_equal(IPPROTO_UDP), give(TC_ACT_UNSPEC),
                                          load_half(42), if_any_bit(0xfff8),        give(TC_ACT_UNSPEC),
                                          load_half(50)};
  std::vector<sock_filter> six{
      load_byte(6),  if_equal(kFragment),   go_on(4), unless_equal(IPPROTO_UDP), give(TC_ACT_UNSPEC),
      load_half(42), go_on(fragment.size())};
  six.insert(six.end(), fragment.begin(), fragment.end());

  std::vector<sock_filter> program{
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_PROTOCOL)),
      if_equal(ETH_P_IP),
      go_on(3),
      unless_equal(ETH_P_IPV6),
      give(TC_ACT_UNSPEC),
      go_on(four.size() + 1)};
  program.insert(program.end(), four.begin(), four.end());
  program.push_back(go_on(six.size()));
  program.insert(program.end(), six.begin(), six.end());
  for (uint16_t port : ports) {
    program.push_back(if_equal(port));
    program.push_back(give(TC_ACT_SHOT));
  }
  program.push_back(give(TC_ACT_UNSPEC));
  return program;
}

}  // namespace fairlead::overlay
