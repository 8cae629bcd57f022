// run/lb-claims.json: who had which published port and VIP when this process last looked. Without it a restart would
// give a contested port to whoever comes first by name. Writer and only reader: fairlead-lb.
#pragma once

#include "base/result.h"
#include "lb/plan.h"
#include "state/paths.h"

namespace fairlead::lb {

// A missing document is empty; so is a bad one, after an error that names it.
Result<Incumbents> load_claims(const Paths& paths);
// Nobody has anything: no document.
Result<void> save_claims(const Paths& paths, const Incumbents& claims);

}  // namespace fairlead::lb
