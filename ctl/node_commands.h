// fairleadctl node: the hosts of the cluster.
#pragma once

#include "ctl/context.h"

namespace fairlead::ctl {

// Every node there is a document of; alone, this one. Whether a node is live is asked of the agent, and unknown when it
// cannot tell.
Output node_list(Context& context);

}  // namespace fairlead::ctl
