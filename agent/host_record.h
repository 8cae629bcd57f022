// run/host.json: what fairlead changed on the host itself this boot, written before the change, so that a restart (or a
// crash in between) neither forgets it nor takes its own change for the owner's.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/rules.h"
#include "base/result.h"
#include "state/paths.h"

namespace fairlead::agent {

struct HostRecord {
  std::string boot;  // /proc/sys/kernel/random/boot_id
  // Whether forwarding was off before we needed it; unset: not needed so far.
  std::optional<bool> opened4, opened6;
  std::vector<std::string> accept_ra;  // interfaces whose accept_ra went from 1 to 2
  RulesMark rules;                     // of the table inet fairlead_host
  std::vector<uint16_t> ipsec_ports;   // IPsec policies were made for them (agent/ipsec_guard.h); in order
  // The third wall (agent/egress_wall.h): for which ports, on which links, and whose queue is ours.
  std::vector<uint16_t> egress_ports;
  std::set<uint32_t> egress_links, egress_queues;
  // Nothing but what stays when the last router goes, and goes by itself.
  HostRecord walls() const;
  bool has_walls() const { return !ipsec_ports.empty() || !egress_links.empty(); }
  friend bool operator==(const HostRecord&, const HostRecord&) = default;
};

// An empty record when there is none, when it is from an earlier boot or when it cannot be read.
Result<HostRecord> load_host_record(const Paths& paths);
Result<void> save_host_record(const Paths& paths, const HostRecord& record);
Result<void> remove_host_record(const Paths& paths);

// A RulesMark inside a router document's unknown fields.
RulesMark mark_of(const std::string& extra);
std::string with_mark(const std::string& extra, const RulesMark& mark);

}  // namespace fairlead::agent
