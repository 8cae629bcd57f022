// resolv.conf(5) as host-local reads it for its key resolvConf: nameserver, domain, search and options lines, nothing
// interpreted. Pure.
#pragma once

#include <string_view>

#include "base/cni_result.h"

namespace fairlead::ipam {

cni::Dns parse_resolv_conf(std::string_view text);

}  // namespace fairlead::ipam
