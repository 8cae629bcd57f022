// What shows that a container still lives behind an attachment, for everybody who takes away what nobody else will
// (GC, the agent): docs/decisions/0017-what-garbage-collection-believes.md.
//
// A veth is destroyed with either of its ends, so the host end in the router is there exactly as long as the
// container's namespace is, whatever became of the path to it. Hence it is evidence of life, and never collected
// itself. Whoever acts on an answer holds the attachment's lock, so that no ADD and no repair makes the link meanwhile.
// Threads: stateless; enters namespaces with the calling thread and comes back.
#pragma once

#include <string>

#include "base/result.h"
#include "state/paths.h"
#include "state/records.h"

namespace fairlead::overlay {

// Whether the link is in the network's router; in any router of this node when the network's document does not say
// which one it is. An error proves nothing.
Result<bool> has_host_end(const Paths& paths, const std::string& network, const std::string& host_ifname);

// Its namespace is at its path, or its host end is in the router.
Result<bool> lives(const Paths& paths, const Endpoint& endpoint);

}  // namespace fairlead::overlay
