// Routing policy rules (ip rule): "what carries this mark is looked up in that table". Format: linux/fib_rules.h.
#pragma once

#include <cstdint>
#include <vector>

#include "kernel/netlink.h"

namespace fairlead::kernel {

struct Rule {
  int family = 0;         // AF_INET, AF_INET6
  uint32_t priority = 0;  // rules are asked in this order
  uint32_t mark = 0;
  uint32_t table = 0;
  friend bool operator==(const Rule&, const Rule&) = default;
};

Message set_rule(const Rule& rule);  // an equal one there is success
// Only rules of this form: a mark with the full mask and a table.
Result<std::vector<Rule>> dump_rules(NetlinkSocket& socket);

}  // namespace fairlead::kernel
