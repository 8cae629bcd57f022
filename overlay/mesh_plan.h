// What a network between nodes means for this node's router. Pure.
//
// Containers of other nodes are reached by a route per block to the other node's router. Routers are neighbours on a
// VXLAN device without learning and flooding: a permanent neighbour and a forwarding entry per node, whatever happens
// in containers. The device is the agent's alone: what is on it and not wanted is taken away.
#pragma once

#include <vector>

#include "kernel/vxlan.h"
#include "overlay/difference.h"
#include "overlay/mesh.h"
#include "overlay/router_plan.h"

namespace fairlead::overlay {

// Replies to clients from outside leave through the node they came in by: a published port's client knows that node's
// address and no other. The connection carries this mark and the node's number, and so do its replies; a rule and a
// table per node lead them there. Other packets meet one rule (the routing tables as always) and none of these.
inline constexpr uint32_t kIngressMark = 0x57000000, kIngressMask = 0xffff0000;
inline constexpr uint32_t kIngressTable = 0x570000;  // + the node's number
inline constexpr uint32_t kUnmarkedRulePriority = 99, kIngressRulePriority = 100;

struct MeshPlan {
  kernel::VxlanSpec device;  // index and netns are not filled
  std::vector<Sysctl> sysctls;
  Wanted wanted;  // the device up, this router's addresses on it (its ICMP errors' source), neighbours, routes
  std::vector<kernel::Forwarding> forwarding;
};
MeshPlan plan_mesh(const Network& network, const Mesh& mesh, uint32_t mtu);

// Whether the device is what is wanted, but for what can be changed (MAC, MTU, up: Wanted says that).
bool same_device(const kernel::VxlanSpec& wanted, const kernel::Vxlan& there);

// Routes, neighbours and forwarding entries of the device that are wanted no longer, or point elsewhere; and missing
// forwarding entries. What else is missing, difference() finds.
std::vector<Repair> mesh_difference(const MeshPlan& plan, const Observed& observed, uint32_t device,
                                    const std::vector<kernel::Forwarding>& forwarding);

}  // namespace fairlead::overlay
