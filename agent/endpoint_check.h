// One endpoint of this node looked at and put right: its veth, and what fairlead put into the container.
//
// The container's namespace is entered and left again, never held: holding it would keep a dead container's links
// alive. Safety: nothing is ever written into the host's own namespace or a router, nor into a namespace that is not
// the one the endpoint was seen in before (a PID path may point at another process' by now). Concurrency with DEL,
// which removes the document before the link: the document is looked up again before and after a new attachment, so
// that what is being taken away is not put back.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "agent/repairs.h"
#include "base/fd.h"
#include "base/result.h"
#include "kernel/rtnl.h"
#include "state/paths.h"
#include "state/records.h"

namespace fairlead::agent {

struct EndpointWork {
  const Paths& paths;
  const Network& network;
  const Endpoint& endpoint;
  int router = -1;  // namespace
  uint32_t router_mtu = 0;
  const kernel::Link* host_end = nullptr;  // in the router; null: it has none
  std::optional<ino_t>& seen;              // the container's namespace, once it was seen with our link in it
};

// kGone: the container's namespace does not exist (any more).
enum class EndpointState { kFine, kRepaired, kGone };

// The attachment's lock; an Error with sys EWOULDBLOCK when ADD or DEL holds it.
Result<Fd> lock_attachment(const Paths& paths, const Endpoint& endpoint);

// An Error: it needs something that could not or must not be done.
Result<EndpointState> check_endpoint(EndpointWork work, Repairs& repairs);

}  // namespace fairlead::agent
