// A program that looks at what leaves by a link, beside whatever else the owner of the host has there: clsact (a queue
// that only holds filters) and one filter of ours in it. net/sched/sch_ingress.c, cls_bpf.c. Pure requests; queries in
// the namespace of their socket.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "kernel/netlink.h"

namespace fairlead::kernel {

// Filters of a link are asked in the order of this number; ours says nothing about what it lets pass.
inline constexpr uint16_t kEgressPriority = 57;

struct EgressProgram {
  enum class Place { kNone, kClsact, kIngress } place = Place::kNone;  // kIngress: somebody's, which excludes clsact
  // Ours; empty: there is none. One that was changed is told as it is now.
  std::vector<sock_filter> program;
};
Result<EgressProgram> find_egress_program(NetlinkSocket& socket, uint32_t index);

Message add_clsact(uint32_t index);  // EEXIST when there is one, or an ingress
// In place; packets meet the one before or this one.
Message set_egress_program(uint32_t index, const std::vector<sock_filter>& program);
Message delete_egress_program(uint32_t index);  // that there is none is tolerated
Message delete_clsact(uint32_t index);          // with all filters in it
// Whether anybody has a filter in it, in either direction.
Result<bool> has_filters(NetlinkSocket& socket, uint32_t index);

// The links by which the kernel would send to this address, all of them where there are several.
Result<std::vector<uint32_t>> links_to(NetlinkSocket& socket, const Address& to);

}  // namespace fairlead::kernel
