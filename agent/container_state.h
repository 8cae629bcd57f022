// What fairlead put into a container, against what is there. Pure. Only what is missing is put back; whatever else the
// container has (other networks, a VPN's routes, addresses its administrator added) is its own.
#pragma once

#include "overlay/attach.h"
#include "overlay/difference.h"

namespace fairlead::agent {

// The wanted state of the container's end. A route counts as there when any route to its destination leaves by this
// interface (ADD may have given it a metric or an MTU). A default route is not wanted where another interface has one
// of the same metric: routes to the network's subnets are, as in attach().
overlay::Wanted wanted_in_container(const overlay::Attachment& attachment, const overlay::Observed& observed);

}  // namespace fairlead::agent
