// Where a CNI plugin's documents live: the environment, over it the configuration's stateDir and runDir, over them
// those of its ipam section.
#pragma once

#include "base/cni.h"
#include "state/paths.h"

namespace fairlead::ipam {

Paths paths_of(const cni::Request& request);

}  // namespace fairlead::ipam
