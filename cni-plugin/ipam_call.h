// Asking the IPAM plugin: our own in-process (an ADD is one process), any other by running it.
#pragma once

#include "base/cni.h"
#include "cni-plugin/config.h"
#include "state/paths.h"

namespace fairlead::plugin {

// names: of the endpoint, for reservations and sticky addresses.
cni::CniResult<cni::AddResult> ipam_add(const Paths& paths, const cni::Request& request, const std::string& type,
                                        const Network* network, const std::vector<std::string>& names);
cni::CniResult<void> ipam_del(const Paths& paths, const cni::Request& request, const std::string& type);
cni::CniResult<void> ipam_check(const Paths& paths, const cni::Request& request, const std::string& type);
cni::CniResult<void> ipam_gc(const Paths& paths, const cni::Request& request, const std::string& type);
cni::CniResult<void> ipam_status(const Paths& paths, const cni::Request& request, const std::string& type,
                                 const Network* network);

}  // namespace fairlead::plugin
