// What the configuration, CNI_ARGS, args and capabilities say about one attachment, decoded and checked. Pure.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/cni_config.h"
#include "state/records.h"

namespace fairlead::plugin {

inline constexpr std::string_view kOwnIpam = "fairlead-ipam";
inline constexpr std::string_view kImpossibleIpam = "dhcp";  // docs/decisions/0016-no-dhcp.md

struct Config {
  Network network;  // as the configuration describes it; vni 0 unless given
  std::string ipam_type;
  std::optional<Mac> mac;
  cni::Dns dns;  // runtimeConfig's, else the configuration's; empty: ours
  std::vector<std::string> names, aliases, services;
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<PortMapping> port_mappings;
  Bandwidth bandwidth;
};

// For ADD, CHECK and STATUS. kUnsupportedField for what this version cannot do, kInvalidConfig for what is wrong.
cni::CniResult<Config> read_config(const cni::Request& request);

// For DEL and GC: the network's name and the IPAM's type, whatever else is wrong with the configuration.
struct Target {
  std::string network;
  std::string ipam_type;
};
cni::CniResult<Target> read_target(const cni::Request& request);

// The subnets an IPAM configuration speaks of (host-local's `subnet` and `ranges`, static's `addresses`), one per
// family: they become the network's when it has none. Empty when there is nothing to be learnt.
std::vector<Prefix> subnets_of_ipam(const Json& conf);

}  // namespace fairlead::plugin
