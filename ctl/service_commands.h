// fairleadctl service …
#pragma once

#include <string>

#include "ctl/context.h"
#include "ctl/service_edit.h"

namespace fairlead::ctl {

// One lock over all services is held from looking to writing: of two services created at once, none gets the other's
// VIP or published port.
Output service_create(Context& context, const ServiceOptions& options);
Output service_update(Context& context, const ServiceOptions& options);
// network empty: of all networks.
Output service_list(Context& context, const std::string& network);
Output service_inspect(Context& context, const std::string& network, const std::string& name);
Output service_remove(Context& context, const std::string& network, const std::string& name);

}  // namespace fairlead::ctl
