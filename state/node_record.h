// The nodes of a cluster. Apart from records.h because only what spans nodes needs it.
#pragma once

#include <cstdint>
#include <string>

#include "base/ip.h"
#include "base/json.h"
#include "base/result.h"

namespace fairlead {

inline constexpr uint32_t kMaxNodeNumber = 32767;  // overlay/mesh.h makes addresses of it

// state/nodes/NAME.json. Writer: the cluster's managers, or the operator. One node's own document is among them.
struct Node {
  std::string name;
  uint32_t number = 0;  // unique in the cluster, never given twice; 1 to kMaxNodeNumber
  Address address;      // of the underlay: where the other nodes send this one's VXLAN packets
  std::string extra;
  // Public key (base64, as it stands there) and UDP port of its WireGuard device. Empty: none yet; 0: the usual port.
  std::string wireguard_key = {};
  uint32_t wireguard_port = 0;
};
Result<Node> decode_node(const Json& json, const std::string& source);
std::string encode(const Node& node);

}  // namespace fairlead
