// The table inet fairlead_lb of one namespace: applies values, notices strangers' changes.
// All changes are one transaction. What an earlier process left is taken over: contents are replaced, entries of
// dynamic maps (clients' affinity) stay. Threads: one. Cost: a change costs one transaction of what differs and one
// reading of the table; drifted() one request while nobody changed any ruleset in the namespace.
#pragma once

#include <functional>
#include <optional>

#include "kernel/netlink.h"
#include "kernel/nft.h"
#include "lb/nft_table.h"

namespace fairlead::lb {

class NftTableKeeper {
 public:
  // Opened in the calling thread's network namespace.
  static Result<NftTableKeeper> open();
  // written: called when the new rules are in force.
  Result<void> apply(
      NftTable wanted, const std::function<Result<void>()>& written = [] { return Result<void>(); });
  // Reads back what apply() wrote, to know a stranger's change from our own; whoever waits for apply() need not wait
  // for this. To be called soon after. Nothing happens when nothing was written since.
  Result<void> settle();
  Result<void> remove();   // the whole table, if it is there
  Result<bool> drifted();  // since the last apply(); never after remove()

 private:
  NftTableKeeper(kernel::NftSession session, kernel::NetlinkSocket socket)
      : session_(std::move(session)), socket_(std::move(socket)) {}
  Result<void> write(const NftTable& wanted);

  kernel::NftSession session_;
  kernel::NetlinkSocket socket_;
  std::optional<NftTable> applied_;  // none: contents unknown
  bool removed_ = false;
  std::optional<uint32_t> unread_;  // not read back yet; the generation the last write should have led to
  uint32_t generation_ = 0;
  uint64_t digest_ = 0;
};

}  // namespace fairlead::lb
