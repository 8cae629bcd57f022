// What travels between the workers, the forward table and the transports. Plain data.
#pragma once

#include <netinet/in.h>

#include <compare>
#include <cstdint>
#include <string>

#include "base/ip.h"
#include "dns-sidecar/wire.h"

namespace fairlead::dns {

// A resolver as the host's resolv.conf or a network's dnsServers name it.
struct ServerAddress {
  Address address;
  std::string scope;  // interface name or index of a link-local address: fe80::1%eth0
  std::string to_string() const { return address.to_string() + (scope.empty() ? "" : "%" + scope); }
  friend bool operator==(const ServerAddress&, const ServerAddress&) = default;
  friend auto operator<=>(const ServerAddress&, const ServerAddress&) = default;
};

union Peer {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

// Where an answer goes: one worker's UDP socket and a peer, or one of its connections.
struct Origin {
  uint32_t worker = 0;
  bool tcp = false;
  uint64_t channel = 0;
  Peer peer{};
};

// A question that is to be asked elsewhere, with what its answer must respect.
struct ForwardRequest {
  uint16_t id = 0, flags = 0, type = 0;
  bool edns = false, dnssec_ok = false;
  uint16_t limit = kPlainUdpBytes;  // the largest answer the asker takes
  uint16_t question_bytes = 0;      // name, type and class, as asked
  uint8_t question[kMaxNameBytes + 4];
  uint32_t network = 0;         // slot whose resolvers are asked
  uint32_t client_network = 0;  // with the address: who asks
  Address client;
  Origin origin;
};

// network, client_network, client and origin are left for the caller.
void fill_request(const Query& query, bool tcp, ForwardRequest& request);

}  // namespace fairlead::dns
