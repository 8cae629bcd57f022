// Making and removing reservations: the documents of state/reservations and their index, safe beside running ADDs.
//
// A reservation is written first and leases are looked at second; an ADD takes its lease first and looks at
// reservations second (allocate.cc). Of the two at least one sees the other, so an address is never both. Threads:
// stateless. Two writers wait for one another.
#pragma once

#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "state/address_records.h"
#include "state/paths.h"
#include "state/records.h"

namespace fairlead::ipam {

// addresses: one or two of the network, one per family; none: a free one of each of its families.
// Refused: a name that has a reservation; an address outside the subnets, of the VIP pool, the gateway's, reserved for
// another, or leased to an endpoint of another name. Nothing is left behind when it is refused.
Result<Reservation> reserve(const Paths& paths, const Network& network, const std::string& name,
                            std::vector<Address> addresses);

// false: there was none. A document that cannot be read is removed, too.
Result<bool> unreserve(const Paths& paths, const std::string& network, const std::string& name);

}  // namespace fairlead::ipam
