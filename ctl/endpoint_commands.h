// fairleadctl endpoint …
#pragma once

#include <string>

#include "ctl/context.h"

namespace fairlead::ctl {

// Empty filters match everything.
Output endpoint_list(Context& context, const std::string& network, const std::string& service);

// By container id (or its beginning), name, address or attachment key. More than one endpoint may belong to a
// container; all of them are shown. An Error when nothing matches or several containers do.
Output endpoint_inspect(Context& context, const std::string& what, const std::string& network);

}  // namespace fairlead::ctl
