// The walls around encrypted networks: IPsec policies without which no VXLAN device of theirs may exist on this host,
// and the rules that keep in what the host would quote of decrypted packets (overlay/tunnel_rules.h).
//
// Policies are made before the device and taken away after it and the associations; whether this node has a router of
// the network makes no difference, because peers may send all the same. What they are: overlay/ipsec_plan.h. Which
// ports they were made for is written down first (run/host.json), so that whoever comes after a crash knows what to
// take away. Threads: one; runs in the host's namespace. Several at once (daemon, `realise`) only ever add the same.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "agent/repairs.h"
#include "agent/rules.h"
#include "base/result.h"
#include "kernel/netlink.h"
#include "overlay/ipsec_plan.h"
#include "state/paths.h"

namespace fairlead::agent {

using Clock = std::chrono::steady_clock;

// What this kernel lacks for `encryption: ipsec`, "" for nothing: xfrm, ESP with AES-GCM, nftables' ipsec expressions.
// A good answer holds for the process' life, a bad one for 30 s: a module can still be installed.
const std::string& missing_for_ipsec();

class IpsecGuard {
 public:
  // Makes what is missing for these facts, takes away doors to peers that are gone. Nothing at all as long as no
  // network is encrypted. On an Error no encrypted network may be between nodes.
  // Cost when nothing changed: reading a socket without messages; a dump every few seconds.
  // rules_touched: somebody may have changed nftables since.
  Result<void> ensure(const Paths& paths, const overlay::IpsecFacts& facts, bool rules_touched, Repairs& repairs);
  // Readable when policies were changed by anybody; -1: nothing to watch. ensure() reads it.
  int events() const { return events_ ? events_->fd() : -1; }
  // After the devices: takes away what is for ports no longer encrypted. true: there was something. Not while there are
  // associations of ours: what they decrypt for a port without a listener would be quoted in an ICMP error.
  Result<bool> release(const Paths& paths, const overlay::IpsecFacts& facts);

 private:
  Result<bool> unchanged(const overlay::IpsecFacts& facts);
  Result<void> ensure_policies(const overlay::IpsecFacts& facts, Repairs& repairs);
  Result<void> ensure_quotes(const Paths& paths, Repairs& repairs);
  std::optional<kernel::NetlinkSocket> socket_, events_;
  std::optional<overlay::IpsecFacts> known_;  // as last ensured
  RulesMark quotes_;                          // of overlay::quote_rules()
  Clock::time_point looked_at_{};
};

}  // namespace fairlead::agent
