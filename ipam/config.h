// What the ipam section of a CNI configuration asks for. Keys: host-local's (ranges, or subnet with rangeStart,
// rangeEnd, gateway; routes) and the capability ipRanges; without ranges the network's document in the state directory.
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
};

std::string network_name(const cni::Request& request);
// network: used instead of reading the document; may be nullptr. Errors are kInvalidConfig with the place.
cni::CniResult<IpamConfig> read_config(const Paths& paths, const cni::Request& request, const Network* network);

}  // namespace fairlead::ipam
