// Addresses nobody asked for by number: subnets of new networks, VIPs of new services. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "state/records.h"

namespace fairlead {

// The subnets of a network that names none: the first free /20 of 10.64.0.0/10 and, with ipv6, the /64 of
// fdfa:1ead::/32 that carries the VNI. taken: subnets of other networks and what the node has routes for.
// An error when all is taken.
Result<std::vector<Prefix>> plan_subnets(uint32_t vni, const std::vector<Prefix>& taken, bool ipv6 = true);

// One VIP for each family of the network that has a VIP pool, none of them in taken.
// The place in the pool comes from the service's name: a service that is removed and created again keeps its
// addresses, and a new service does not get the address of one that has just gone and that clients still remember.
Result<std::vector<Address>> plan_vips(const Network& network, const std::string& service,
                                       const std::vector<Address>& taken);

}  // namespace fairlead
