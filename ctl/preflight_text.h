// What cluster/preflight.h has found, for people: a line for each thing, those that are missing with a "!" before them.
#pragma once

#include <string>

#include "base/json.h"

namespace fairlead::ctl {

// As preflight_all() gives it. Control characters in what a peer said become '?'.
std::string preflight_text(const Json& preflight, const std::string& self);

}  // namespace fairlead::ctl
