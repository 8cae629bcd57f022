// fairleadctl status: the daemons by their sockets, what is in the state directory, and what is wrong with it.
#pragma once

#include "ctl/context.h"

namespace fairlead::ctl {

// Bad documents and what daemons say they cannot do are part of the answer, not warnings. It succeeds whatever it
// finds; scripts read --json.
Output status(Context& context);

}  // namespace fairlead::ctl
