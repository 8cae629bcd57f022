// Running another CNI plugin (IPAM) as ours: spec section 4.
#pragma once

#include <string>
#include <string_view>

#include "base/cni.h"

namespace fairlead::cni {

struct DelegateLimits {
  // An IPAM may ask a DHCP server; a kubelet waits two minutes for ADD and the DEL that takes it back.
  int timeout_ms = 30000;
  // From SIGTERM to SIGKILL.
  int term_ms = 1000;
  size_t stdout_bytes = 1 << 20;
};

// The first regular file named type in the colon list. Error: kInvalidEnvironment without a list, kInvalidConfig for a
// type that is empty or has a '/', kOwnError naming type and list when there is none.
CniResult<std::string> find_plugin(std::string_view type, std::string_view path_list);

// Runs the plugin with our environment (CNI_COMMAND replaced), the configuration as it came on stdin, and no descriptor
// but 0 to 2. Its stderr goes to ours. Returns its stdout. A plugin's error object becomes the CniError as it is; one
// that prints none, is killed or takes too long becomes an error naming it. One that takes too long is ended, and what
// it started with it: SIGTERM, then SIGKILL to its process group. It does not outlive us: it is killed with its parent
// thread, so a DEL after our death never races with its ADD.
CniResult<std::string> delegate(const Request& request, std::string_view type, std::string_view command,
                                const DelegateLimits& limits = {});
// delegate ADD and the result decoded.
CniResult<AddResult> delegate_add(const Request& request, std::string_view type, const DelegateLimits& limits = {});

// Plugins that know no GC or STATUS say so with code 1, 3 or 4 (measured: Debian's host-local); that is no failure.
bool means_unsupported(const CniError& error);

}  // namespace fairlead::cni
