// Reading an nftables table over netlink, without libnftables: which chains and sets it has, and a digest of what
// matters in it, to see whether anybody has changed it. (`list table` as text costs ten times as much and includes
// entries that come and go by themselves.) Formats: linux/netfilter/nf_tables.h (kernel 6.1).
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "kernel/netlink.h"

namespace fairlead::kernel {

struct NftTableState {
  bool exists = false;
  std::vector<std::string> chains;
  std::vector<std::string> sets, maps;  // named ones; anonymous sets belong to their rules
  // Chains with hook, priority and policy; rules with handles, in order; sets; elements of fixed_sets in any order.
  // Contents of other sets, counters and use counts are left out.
  uint64_t digest = 0;
};

// socket: NETLINK_NETFILTER. The table's family is inet. fixed_sets: sets whose elements only their owner changes.
Result<NftTableState> read_nft_table(NetlinkSocket& socket, const std::string& table,
                                     const std::vector<std::string>& fixed_sets);

// The chains of the table that have rules; empty when there is no such table.
Result<std::set<std::string>> chains_with_rules(NetlinkSocket& socket, const std::string& table);

}  // namespace fairlead::kernel
