// fairlead-agent as a daemon: passes of the reconciler until SIGTERM. It leaves the kernel as it is when it ends.
//
// Threading: the reconciler in the calling thread; the status socket has its own, which sees texts only.
// Failure: what cannot be started (another instance, a folder that cannot be made or watched) is an Error; what cannot
// be done later is a problem in /status and is tried again.
#pragma once

#include "agent/settings.h"
#include "base/result.h"
#include "state/paths.h"

namespace fairlead::agent {

Result<void> run_daemon(const Paths& paths, const Settings& settings);

}  // namespace fairlead::agent
