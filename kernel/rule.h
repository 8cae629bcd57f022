// Routing policy rules (ip rule): "what carries this mark, or comes from this address, is looked up in that table".
// Format: linux/fib_rules.h.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ip.h"
#include "kernel/netlink.h"

namespace fairlead::kernel {

struct Rule {
  int family = 0;         // AF_INET, AF_INET6
  uint32_t priority = 0;  // rules are asked in this order
  uint32_t mark = 0;      // 0: any
  uint32_t table = 0;
  Address from;       // none: any
  uint32_t mask = 0;  // the bits of the mark that are looked at; 0: all of a mark that is not 0
  friend bool operator==(const Rule&, const Rule&) = default;
};

Message set_rule(const Rule& rule);     // an equal one there is success
Message delete_rule(const Rule& rule);  // this very one; none is success
// Every rule of the family that leads to the table, up to `count`; fewer are success.
Batch delete_rules(int family, uint32_t table, int count);
// Only rules of this form: a table, and a mark or one address.
Result<std::vector<Rule>> dump_rules(NetlinkSocket& socket);

}  // namespace fairlead::kernel
