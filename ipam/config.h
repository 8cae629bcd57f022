// What the ipam section of a CNI configuration asks for. Keys: host-local's (ranges, or subnet with rangeStart,
// rangeEnd, gateway; routes, resolvConf; dataDir is taken and not looked at), sticky, stickyFor, and the capability
// ipRanges; without ranges the network's document in the state directory. docs/ipam.md describes them.
#pragma once

#include <string>
#include <vector>

#include "base/cni.h"
#include "ipam/pool.h"
#include "state/paths.h"
#include "state/records.h"

namespace fairlead::ipam {

struct IpamConfig {
  std::string network;  // names the leases: the key "network", else "name"
  std::vector<RangeSet> sets;
  std::vector<Address> wanted;
  std::vector<cni::RouteConfig> routes;
  cni::Dns dns;            // of resolvConf
  std::string node;        // when the network has blocks: this node, whose blocks the sets are cut down to
  bool claimed = false;    // those blocks come from the cluster's managers, and more may (ipam/blocks.h)
  std::string blocks;      // blocks_state() when they were read
  bool sticky = false;     // the key, CNI_ARGS FAIRLEAD_STICKY, or the label fairlead.sticky
  uint32_t sticky_ms = 0;  // stickyFor
};

std::string network_name(const cni::Request& request);
// The DNS names a request gives its endpoint, as far as they can be known without the main plugin: CNI_ARGS
// FAIRLEAD_NAME, K8S_POD_NAME (and with .K8S_POD_NAMESPACE), the label fairlead.name.
std::vector<std::string> names_of(const cni::Request& request);
// network: used instead of reading the document; may be nullptr. Errors are kInvalidConfig with the place.
cni::CniResult<IpamConfig> read_config(const Paths& paths, const cni::Request& request, const Network* network);

}  // namespace fairlead::ipam
