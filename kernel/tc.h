// Traffic control as requests and answers: a token bucket at the root of a link, and everything that comes in by a link
// sent through another one. linux/pkt_sched.h, pkt_cls.h, tc_act/tc_mirred.h; net/sched/sch_tbf.c, cls_u32.c,
// act_mirred.c. Pure requests; queries in the namespace of their socket.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "kernel/netlink.h"

namespace fairlead::kernel {

// Bytes per second; bytes that may go at once; bytes that may be held back or wait, above which packets are dropped.
struct TokenBucket {
  uint64_t rate = 0;
  uint32_t burst = 0;
  uint32_t limit = 0;
  friend bool operator==(const TokenBucket&, const TokenBucket&) = default;
};
Message set_token_bucket(uint32_t index, const TokenBucket& bucket);  // replaces what is at the root
// The bucket at the root, its burst left out (the kernel tells it as a time only); nullopt: something else is there.
Result<std::optional<TokenBucket>> find_token_bucket(NetlinkSocket& socket, uint32_t index);

// A device that only exists to have a queue: what is redirected to it goes on from where it came when it leaves it.
Message add_ifb(uint32_t index, const std::string& name, uint32_t mtu);

// Where packets that come in by a link can be looked at; filters go with it.
Message add_ingress(uint32_t index);
Message delete_ingress(uint32_t index);  // that there is none is tolerated
// Everything that comes in by `from` (which has an ingress) goes through the queue of `to`.
Message redirect_ingress(uint32_t from, uint32_t to);
// The link `from`'s packets are redirected to; 0: they are not.
Result<uint32_t> find_redirect(NetlinkSocket& socket, uint32_t from);

}  // namespace fairlead::kernel
