// Attaching one container to its network's router: planning is pure, applying is two netlink batches.
//
// What an attachment is: a veth whose host end (name, gateway MAC) sits in the router and whose container end carries
// the endpoint's addresses as /32 and /128; a route and a permanent neighbour per address in the router; in the
// container the gateway as a permanent neighbour and routes to it. No broadcast domain, no ARP, no nftables.
// Used by the CNI plugin for ADD and by the agent for repair.
#pragma once

#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "kernel/netlink.h"
#include "kernel/rtnl.h"
#include "overlay/container_routes.h"
#include "overlay/shaping.h"
#include "state/records.h"

namespace fairlead::overlay {

struct Attachment {
  std::string ifname;       // in the container
  std::string host_ifname;  // in the router
  Mac mac;                  // of the container's end
  uint32_t mtu = 0;
  std::vector<Address> addresses;
  std::vector<Address> gateways;  // one per family of the addresses
  std::vector<ContainerRoute> routes;
  SourceRouting source;
  std::vector<Prefix> subnets;  // of the network; see attach()
  Shaping shaping;              // limits on what it sends and receives
};

// The attachment an endpoint document describes, for repair.
Attachment attachment_of(const Network& network, const Endpoint& endpoint, uint32_t router_mtu);

// Requests for the router's side once the link exists (routes, neighbours), and for the container's side.
kernel::Batch router_side(const Attachment& attachment, uint32_t host_index);
kernel::Batch container_side(const Attachment& attachment, uint32_t container_index, const Mac& gateway_mac);

struct AttachError {
  enum class Kind { kOther, kNameTaken, kContainerGone };
  Kind kind = Kind::kOther;
  Error error;
};

// Makes the attachment. router and container are network namespace descriptors. When a link of the host end's name is
// left over from an earlier attempt it is replaced. On failure nothing is left behind. Concurrency: several calls for
// different attachments may run at once.
//
// A default route never takes another one's place: where the container has one of the same metric already (of another
// plugin, or of an interface with the same number), it gets routes to this network's subnets and a default route with a
// higher metric instead. The routes that were really made are returned, without those of the source routing.
tl::expected<std::vector<ContainerRoute>, AttachError> attach(const Attachment& attachment, int router, int container);

// Takes the attachment away by its host end (the pair goes together), and the device of its limits; false when there
// was no host end.
Result<bool> detach(const std::string& host_ifname, int router);

}  // namespace fairlead::overlay
