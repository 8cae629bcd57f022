// Which IPsec policies this host has for the networks with `encryption: ipsec`. Pure.
//
// A policy sees addresses and UDP ports, never a network: so networks of one kind of encryption share ports with none
// of another kind (state/vxlan_port.h). Per encrypted port everything is blocked in all directions; per peer an
// exception with a higher rank admits what came out of one of our security associations. The exceptions for sending
// belong to those who make the associations: while there is none, nothing leaves.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernel/xfrm.h"
#include "state/node_record.h"
#include "state/records.h"

namespace fairlead::overlay {

inline constexpr uint32_t kBlockPriority = 2000, kPeerPriority = 100;

struct IpsecFacts {
  std::vector<uint16_t> ports;  // of networks with ipsec, in order, each once
  Address self;                 // this node's address of the underlay; none: this node is alone
  std::vector<Address> peers;   // of the same family
  friend bool operator==(const IpsecFacts&, const IpsecFacts&) = default;
};
IpsecFacts ipsec_facts(const std::vector<Network>& networks, const std::vector<Node>& nodes, const std::string& self);

kernel::Policy block_policy(kernel::Direction direction, int family, uint16_t port);
// kIn: admits from peer. kOut: encrypts to peer. spi: 0 or the one association to use.
kernel::Policy peer_policy(kernel::Direction direction, const Address& self, const Address& peer, uint16_t port,
                           uint32_t spi = 0);

// Blocking ones first, so that a batch killed in its middle has shut before it opened.
std::vector<kernel::Policy> plan_policies(const IpsecFacts& facts);

struct PolicyDifference {
  std::vector<kernel::Policy> missing, stale;
};
// former: ports that were encrypted once. Stale are those of a port that no longer is, and those that admit a peer
// that is gone. What is not ours is left alone; so are the exceptions for sending as long as their port is encrypted.
PolicyDifference compare_policies(const IpsecFacts& facts, const std::vector<uint16_t>& former,
                                  const std::vector<kernel::Policy>& there);

}  // namespace fairlead::overlay
