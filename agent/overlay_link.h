// A router's way to the other nodes: its VXLAN device with everything on it, made when missing, made anew when it is
// another one, emptied of what is wanted no longer. Runs in the calling thread; the sockets carry the namespaces.
#pragma once

#include "agent/repairs.h"
#include "base/result.h"
#include "kernel/netlink.h"
#include "kernel/sysctl.h"
#include "overlay/mesh.h"
#include "state/records.h"

namespace fairlead::agent {

struct OverlayWork {
  const Network& network;
  const overlay::Mesh* mesh;  // nullptr: this node is alone; a device there is removed
  uint32_t mtu;
  int router;                     // its namespace
  kernel::NetlinkSocket& inside;  // opened there
  kernel::NetlinkSocket& host;
  const kernel::SysctlTree& settings;
  const Result<void>& shield;  // RealiseRequest says
};

// repairs: what had to be put back; nullptr when differences are what was asked for (a node came or went).
Result<void> ensure_overlay(const OverlayWork& work, Repairs* repairs);

}  // namespace fairlead::agent
