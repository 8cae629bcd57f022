// fairleadctl reservation …
#pragma once

#include <string>
#include <vector>

#include "base/ip.h"
#include "ctl/context.h"
#include "state/address_records.h"

namespace fairlead::ctl {

// addresses: none has the addresses of the endpoint of that name reserved, or free ones when there is no such endpoint.
// Refused: what ipam/reserve.h refuses, and addresses of endpoints that are called otherwise.
Output reservation_create(Context& context, const std::string& name, const std::string& network,
                          const std::vector<Address>& addresses);
// Empty: of all networks.
Output reservation_list(Context& context, const std::string& network);
Output reservation_remove(Context& context, const std::string& name, const std::string& network);

// The reservations of a network, sorted by name; what cannot be read becomes a warning.
Result<std::vector<Reservation>> read_reservations(Context& context, const std::string& network);

}  // namespace fairlead::ctl
