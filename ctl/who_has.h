// fairleadctl endpoint who-has: what an address is, in every network that contains it.
#pragma once

#include <string>

#include "base/ip.h"
#include "ctl/context.h"

namespace fairlead::ctl {

// An Error when no network (or not the one named) contains it.
Output endpoint_who_has(Context& context, const Address& address, const std::string& network);

}  // namespace fairlead::ctl
