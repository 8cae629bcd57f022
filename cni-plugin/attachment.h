// The six verbs. Each is a function from the request to an answer; main wires them to the protocol (base/cni.h).
#pragma once

#include <string>

#include "base/cni.h"
#include "base/fd.h"
#include "state/paths.h"

namespace fairlead::plugin {

cni::CniResult<cni::AddResult> add(const Paths& paths, const cni::Request& request);
cni::CniResult<void> del(const Paths& paths, const cni::Request& request);
cni::CniResult<void> check(const Paths& paths, const cni::Request& request);
cni::CniResult<void> gc(const Paths& paths, const cni::Request& request);
cni::CniResult<void> status(const Paths& paths, const cni::Request& request);

// ADD and DEL of one attachment at the same time (kubelets do it, although the spec forbids it) happen one after the
// other: else a DEL in the middle of an ADD frees the address of what is about to be attached (CNI-161). Other
// attachments never meet. kTryAgainLater when whoever holds it does not end.
cni::CniResult<Fd> lock_attachment(const Paths& paths, const std::string& network, const std::string& container,
                                   const std::string& ifname, int timeout_ms = 8000);

}  // namespace fairlead::plugin
