#include "state/records.h"

#include <sys/socket.h>

#include <algorithm>

#include "base/names.h"
#include "state/codec.h"
#include "state/paths.h"

namespace fairlead {

using codec::Json;

std::optional<Prefix> vip_pool_of(const Prefix& subnet) {
  unsigned host = subnet.host_bits();
  if (subnet.family() == AF_INET6 && host >= 32) {
    return Prefix{subnet.first().plus(0xffff0000), 112};
  }
  unsigned bits = host < 4 ? 0 : std::min(host - 4, subnet.family() == AF_INET ? 8u : 16u);
  if (bits < 2) return std::nullopt;  // nothing would be left beside the network's own last address
  Prefix pool{subnet.last(), subnet.address.bits() - bits};
  pool.address = pool.first();
  return pool;
}

const Prefix* Network::subnet(int family) const {
  for (const auto& s : subnets)
    if (s.family() == family) return &s;
  return nullptr;
}

std::optional<Address> Network::gateway(int family) const {
  const Prefix* s = subnet(family);
  if (!s) return std::nullopt;
  return s->first().plus(1);
}

std::optional<Prefix> Network::vip_pool(int family) const {
  const Prefix* s = subnet(family);
  return s ? vip_pool_of(*s) : std::nullopt;
}

namespace {

void read_subnets(ObjectReader& r, std::vector<Prefix>& subnets) {
  std::vector<std::string> texts;
  r.optional("subnets", texts, 2);
  for (size_t i = 0; i < texts.size(); i++) {
    std::string place = "subnets/" + std::to_string(i);
    auto prefix = Prefix::parse(texts[i]);
    if (!prefix) return r.problem(place, prefix.error().message);
    if (texts[i].find('/') == std::string::npos) return r.problem(place, "expected a subnet like 10.32.0.0/16");
    if (prefix->has_host_bits())
      return r.problem(place, texts[i] + " has host bits set; the subnet is " + prefix->first().to_string() + "/" +
                                  std::to_string(prefix->length));
    if (prefix->host_bits() < 3) return r.problem(place, texts[i] + " is too small (at least a /29 or /125)");
    if (prefix->length == 0 || prefix->address.is_multicast() || prefix->address.is_loopback())
      return r.problem(place, texts[i] + " cannot be a container subnet");
    for (const auto& other : subnets)
      if (other.family() == prefix->family()) return r.problem(place, "a second subnet of the same family");
    subnets.push_back(*prefix);
  }
}

}  // namespace

Result<Network> decode_network(const Json& json, const std::string& source) {
  ObjectReader r(json, source);
  Network n;
  codec::read_version(r);
  codec::read_name(r, "name", n.name);
  r.required("vni", n.vni, kMinVni, kMaxVni);
  read_subnets(r, n.subnets);
  r.optional("encryption", n.encryption);
  codec::one_of(r, "encryption", n.encryption, {"none", "ipsec", "wireguard"});
  r.optional("internal", n.internal);
  r.optional("mtu", n.mtu, 0, 65535);
  if (n.mtu != 0 && n.mtu < 1280) r.problem("mtu", "expected 0 or 1280 to 65535 (IPv6 needs 1280, RFC 8200)");
  r.optional("vxlanPort", n.vxlan_port, 0, 65535);
  r.optional("forwardSingleLabels", n.forward_single_labels);
  r.optional("dnsServers", n.dns_servers, 8);
  for (const auto& server : n.dns_servers)
    if (!Address::parse(server)) r.problem("dnsServers", "\"" + server + "\" is not an IP address");
  n.extra = r.extra();
  FL_CHECK(r.finish());
  return n;
}

std::string encode(const Network& n) {
  Json json = codec::start(n.extra);
  json["name"] = n.name;
  json["vni"] = n.vni;
  json["subnets"] = Json::array();
  for (const auto& s : n.subnets) json["subnets"].push_back(s.to_string());
  json["encryption"] = n.encryption;
  json["internal"] = n.internal;
  json["mtu"] = n.mtu;
  if (n.vxlan_port) json["vxlanPort"] = n.vxlan_port;
  if (!n.forward_single_labels) json["forwardSingleLabels"] = false;
  if (!n.dns_servers.empty()) json["dnsServers"] = n.dns_servers;
  return codec::text(json);
}

Result<Router> decode_router(const Json& json, const std::string& source) {
  ObjectReader r(json, source);
  Router router;
  codec::read_version(r);
  codec::read_name(r, "network", router.network);
  r.required("vni", router.vni, kMinVni, kMaxVni);
  r.required("netns", router.netns);
  if (!is_interface_name(router.netns)) r.problem("netns", "expected a name like fl-1001");
  r.required("index", router.index, 0, 8191);
  r.required("uplink", router.uplink);
  if (!is_interface_name(router.uplink)) r.problem("uplink", "expected an interface name");
  codec::read_address(r, "host4", router.host4);
  codec::read_address(r, "router4", router.router4);
  codec::read_address(r, "host6", router.host6);
  codec::read_address(r, "router6", router.router6);
  r.optional("mtu", router.mtu, 0, 65535);
  router.extra = r.extra();
  FL_CHECK(r.finish());
  return router;
}

std::string encode(const Router& router) {
  Json json = codec::start(router.extra);
  json["network"] = router.network;
  json["vni"] = router.vni;
  json["netns"] = router.netns;
  json["index"] = router.index;
  json["uplink"] = router.uplink;
  json["mtu"] = router.mtu;
  if (router.host4) json["host4"] = router.host4.to_string();
  if (router.router4) json["router4"] = router.router4.to_string();
  if (router.host6) json["host6"] = router.host6.to_string();
  if (router.router6) json["router6"] = router.router6.to_string();
  return codec::text(json);
}

}  // namespace fairlead
