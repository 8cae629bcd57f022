// Whether this kernel can do what encrypted networks need. Tried, not guessed from module lists: in a network namespace
// that ends with the call, so nothing of it is ever in force. A few milliseconds; the first time modules are loaded.
#pragma once

#include <string>

#include "base/result.h"

namespace fairlead::kernel {

// "": policies and ESP associations with AES-256-GCM and extended sequence numbers, IPv4, work. Else what does not,
// with the kernel's words and what to do.
Result<std::string> missing_for_ipsec();

}  // namespace fairlead::kernel
