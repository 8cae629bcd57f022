// Whether a service fits beside the others: its VIPs in the network's pool and nobody else's, its published ports free.
// Pure.
#pragma once

#include <vector>

#include "base/result.h"
#include "state/records.h"

namespace fairlead::ctl {

// Gives a service in endpoint mode vip that has no VIP one per family. others: every service of every network.
Result<void> give_vips(Service& service, const Network& network, const std::vector<Service>& others);

// Every VIP of the service. A VIP outside the pool could take over another address's traffic.
Result<void> check_vips(const Service& service, const Network& network, const std::vector<Service>& others);

// Published ports against those of other services (of any network: they share the nodes' addresses) and against the
// ports containers of this node were started with.
Result<void> check_published(const Service& service, const std::vector<Service>& others,
                             const std::vector<Endpoint>& endpoints);

}  // namespace fairlead::ctl
