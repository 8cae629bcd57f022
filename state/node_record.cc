#include "state/node_record.h"

#include "state/codec.h"

namespace fairlead {

Result<Node> decode_node(const Json& json, const std::string& source) {
  ObjectReader r(json, source);
  Node node;
  codec::read_version(r);
  codec::read_name(r, "name", node.name);
  r.required("number", node.number, 1, kMaxNodeNumber);
  codec::read_address(r, "address", node.address);
  if (r.ok() && !node.address) r.problem("address", "is missing; it is this node's address of the underlay");
  if (node.address && (node.address.is_loopback() || node.address.is_multicast() || node.address.is_unspecified() ||
                       node.address.is_link_local()))
    r.problem("address", node.address.to_string() + " cannot be reached from another node");
  r.optional("wireguardKey", node.wireguard_key);
  r.optional("wireguardPort", node.wireguard_port, 0, UINT16_MAX);
  node.extra = r.extra();
  FL_CHECK(r.finish());
  return node;
}

std::string encode(const Node& node) {
  Json json = codec::start(node.extra);
  json["name"] = node.name;
  json["number"] = node.number;
  json["address"] = node.address.to_string();
  if (!node.wireguard_key.empty()) json["wireguardKey"] = node.wireguard_key;
  if (node.wireguard_port) json["wireguardPort"] = node.wireguard_port;
  return codec::text(json);
}

}  // namespace fairlead
