// IPsec of one network namespace: security associations (states) and policies, over NETLINK_XFRM. Format:
// linux/xfrm.h (kernel 6.1), net/xfrm/xfrm_user.c. Requests are for Batch; a batch may hold hundreds.
//
// Only what fairlead uses: ESP in transport mode with AES-256-GCM, extended sequence numbers (RFC 4303, RFC 4106).
// Keys: a request that carries one is zeroed when it ends, so are the socket's buffers (kernel/netlink.h). The kernel
// repeats keys in dumps and notifications; they are never put into a record.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/secret.h"
#include "kernel/netlink.h"

namespace fairlead::kernel {

// Our mark on states and templates. A template admits only states with its own number, so other IPsec on this host
// never takes part in ours.
inline constexpr uint32_t kRequestId = 5700;
inline constexpr uint32_t kReplayWindow = 1024;
inline constexpr size_t kAeadKeyBytes = 36;  // AES-256 key, then 4 bytes of salt (RFC 4106 section 8.1)

// nullopt: this kernel has no XFRM (the module was asked for).
Result<std::optional<NetlinkSocket>> open_xfrm();

// ESP in UDP (RFC 3948). Both sides need a socket with UDP_ENCAP_ESPINUDP on their port.
struct Encapsulation {
  uint16_t source_port = 0, destination_port = 0;
  friend bool operator==(const Encapsulation&, const Encapsulation&) = default;
};

struct StateSpec {
  Address source, destination;  // one family
  uint32_t spi = 0;             // host order; 0 to 255 are reserved (RFC 4303 section 2.1)
  uint32_t request_id = kRequestId;
  std::optional<Encapsulation> encapsulation;
  // After so many packets or bytes the kernel refuses (hard) or says so once (soft, XFRMNLGRP_EXPIRE); 0: no limit.
  uint64_t soft_packets = 0, hard_packets = 0, soft_bytes = 0, hard_bytes = 0;
};
// For UDP from source to destination, whatever its ports. EEXIST when destination and SPI are taken.
Message add_state(const StateSpec& spec, const Secret& key);
Message delete_state(const Address& destination, uint32_t spi);  // none is success

struct State {
  Address source, destination;
  uint32_t spi = 0, request_id = 0;
  bool esp = false, transport = false;
  bool aes_gcm_256 = false;  // rfc4106(gcm(aes)) with a key of 36 bytes and an ICV of 16
  bool extended_sequence = false;
  uint32_t replay_window = 0;
  std::optional<Encapsulation> encapsulation;
  uint64_t sequence_out = 0, sequence_in = 0;  // the last one used, the highest one seen
  uint64_t packets = 0, bytes = 0;
  uint64_t added = 0;                                  // seconds of the epoch
  uint32_t replayed = 0, late = 0, not_authentic = 0;  // packets dropped
};
// All states of the namespace, whosever they are.
Result<std::vector<State>> dump_states(NetlinkSocket& socket);
std::optional<State> state_of(const nlmsghdr& message);  // of XFRM_MSG_NEWSA or XFRM_MSG_UPDSA

enum class Direction : uint8_t { kIn, kOut, kForward };  // XFRM_POLICY_IN, _OUT, _FWD
const char* name_of(Direction direction);

struct Template {
  Address source, destination;
  uint32_t request_id = kRequestId;
  uint32_t spi = 0;  // 0: any state that fits; else this one only
  friend bool operator==(const Template&, const Template&) = default;
};

// UDP to one port between two prefixes. The kernel knows a policy by direction and selector (source, destination,
// port): the priority is not part of it.
struct Policy {
  Direction direction = Direction::kOut;
  Prefix source, destination;   // one family
  uint16_t port = 0;            // destination's
  uint32_t priority = 0;        // the lowest number decides
  std::optional<Template> esp;  // none: such packets are dropped
  std::string to_string() const;
  friend bool operator==(const Policy&, const Policy&) = default;
};
Message set_policy(const Policy& policy);     // in place: no packet finds a moment without one
Message delete_policy(const Policy& policy);  // by direction and selector; none is success
// Policies of exactly this form (blocking, or one ESP template in transport mode); others are left out.
Result<std::vector<Policy>> dump_policies(NetlinkSocket& socket);
std::optional<Policy> policy_of(const nlmsghdr& message);  // of XFRM_MSG_NEWPOLICY or XFRM_MSG_UPDPOLICY

}  // namespace fairlead::kernel
