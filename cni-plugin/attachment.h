// The six verbs. Each is a function from the request to an answer; main wires them to the protocol (base/cni.h).
#pragma once

#include "base/cni.h"
#include "state/paths.h"

namespace fairlead::plugin {

cni::CniResult<cni::AddResult> add(const Paths& paths, const cni::Request& request);
cni::CniResult<void> del(const Paths& paths, const cni::Request& request);
cni::CniResult<void> check(const Paths& paths, const cni::Request& request);
cni::CniResult<void> gc(const Paths& paths, const cni::Request& request);
cni::CniResult<void> status(const Paths& paths, const cni::Request& request);

}  // namespace fairlead::plugin
