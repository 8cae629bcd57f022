// Which tracked connections belong to which backend, and which must go. Pure.
#pragma once

#include <optional>
#include <set>

#include "kernel/conntrack.h"
#include "lb/balancer.h"

namespace fairlead::lb {

// The backend a flow was balanced to, if it is one of the plan's.
std::optional<BackendId> backend_of(const RouterPlan& plan, const kernel::Flow& flow);
// The flow came to an address of ours (RouterPlan::own) and is not on a backend the plan has: its backend or frontend
// is gone, or the frontend is younger than the flow.
bool is_stale(const RouterPlan& plan, const kernel::Flow& flow);
// A UDP flow to a frontend that is not balanced at all: it is older than the frontend. (IPVS balances its packets, but
// cannot change a flow that connection tracking has confirmed, and the answers get lost.)
bool precedes_frontend(const RouterPlan& plan, const kernel::Flow& flow);
// Whether the step from one plan to the next can leave stale flows: a backend or a frontend went, or a UDP frontend
// came. (Looking costs 3 ms whatever there is: the kernel walks through its whole table.)
bool flows_may_be_stale(const RouterPlan& from, const RouterPlan& to);

// The same on the host. Stale are flows that were translated to a router's uplink address and no published port leads
// there any more, and UDP flows to a port of this machine that has been published since (`before` lacks it).
bool is_stale_on_host(const HostPlan& before, const HostPlan& now, const std::set<Address>& local,
                      const kernel::Flow& flow);
// Whether there can be any: a port went or leads elsewhere, or a UDP port came.
bool host_flows_may_be_stale(const HostPlan& before, const HostPlan& now);

}  // namespace fairlead::lb
