#include <charconv>

#include "base/names.h"
#include "state/codec.h"
#include "state/paths.h"
#include "state/records.h"

namespace fairlead {
namespace {

using codec::Json;

void read_names(ObjectReader& r, const char* key, std::vector<std::string>& names, bool dns) {
  r.optional(key, names, 256);
  for (const auto& name : names) {
    if (dns ? is_dns_name(name) : is_object_name(name)) continue;
    r.problem(key, "\"" + name.substr(0, 80) + "\" is not a " + (dns ? "DNS name" : "service name"));
  }
}

void read_mapping(ObjectReader& r, std::vector<PortMapping>& mappings) {
  PortMapping m;
  r.optional("protocol", m.protocol);
  codec::one_of(r, "protocol", m.protocol, {"tcp", "udp", "sctp"});
  r.required("hostPort", m.host_port, 1, 65535);
  r.required("containerPort", m.container_port, 1, 65535);
  r.optional("hostIP", m.host_ip);
  if (!m.host_ip.empty() && !Address::parse(m.host_ip)) r.problem("hostIP", "expected an IP address");
  mappings.push_back(m);
}

void read_amount(ObjectReader& r, const char* key, uint64_t& value, uint64_t min, uint64_t max) {
  const Json* found = r.find(key);
  if (!found) return;
  if (found->is_number_unsigned()) value = found->get<uint64_t>();
  if (!found->is_number_unsigned() || (value != 0 && (value < min || value > max)))
    r.problem(key, "expected 0 or a number of bits from " + std::to_string(min) + " to " + std::to_string(max));
}

void read_bandwidth(ObjectReader& r, Bandwidth& b) {
  read_amount(r, "ingressRate", b.ingress_rate, kMinRateBits, kMaxRateBits);
  read_amount(r, "ingressBurst", b.ingress_burst, 8, kMaxBurstBits);
  read_amount(r, "egressRate", b.egress_rate, kMinRateBits, kMaxRateBits);
  read_amount(r, "egressBurst", b.egress_burst, 8, kMaxBurstBits);
  if ((b.ingress_rate == 0) != (b.ingress_burst == 0)) r.problem("ingressBurst", "a rate and a burst go together");
  if ((b.egress_rate == 0) != (b.egress_burst == 0)) r.problem("egressBurst", "a rate and a burst go together");
}

}  // namespace

std::optional<Address> Endpoint::address(int family) const {
  for (const auto& a : addresses)
    if (a.family() == family) return a;
  return std::nullopt;
}

std::string Endpoint::key() const { return attachment_key(container, ifname); }

uint32_t Endpoint::weight() const {
  for (const auto& [key, value] : labels) {
    if (key != "fairlead.weight") continue;
    uint32_t weight = 1;
    auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), weight);
    if (ec == std::errc() && end == value.data() + value.size() && weight <= 65535) return weight;
  }
  return 1;
}

Result<Endpoint> decode_endpoint(const Json& json, const std::string& source) {
  ObjectReader r(json, source);
  Endpoint e;
  codec::read_version(r);
  codec::read_name(r, "network", e.network);
  r.required("container", e.container);
  if (r.ok() && !is_cni_id(e.container)) r.problem("container", "not a container id");
  r.required("ifname", e.ifname);
  if (r.ok() && !is_interface_name(e.ifname)) r.problem("ifname", "not an interface name");
  r.optional("netns", e.netns);
  r.optional("netnsInode", e.netns_inode, 0, UINT32_MAX);
  r.optional("node", e.node);
  codec::read_addresses(r, "addresses", e.addresses);
  std::string mac;
  r.optional("mac", mac);
  if (!mac.empty()) {
    auto parsed = Mac::parse(mac);
    if (parsed)
      e.mac = *parsed;
    else
      r.problem("mac", parsed.error().message);
  }
  r.optional("hostIfname", e.host_ifname);
  if (!e.host_ifname.empty() && !is_interface_name(e.host_ifname)) r.problem("hostIfname", "not an interface name");
  r.optional("mtu", e.mtu, 0, 65535);
  read_names(r, "names", e.names, true);
  read_names(r, "aliases", e.aliases, true);
  read_names(r, "services", e.services, false);
  r.optional("labels", e.labels);
  r.each("portMappings", [&](ObjectReader& item) { read_mapping(item, e.port_mappings); });
  r.object("bandwidth", [&](ObjectReader& limits) { read_bandwidth(limits, e.bandwidth); });
  r.optional("attempt", e.attempt, 0, UINT32_MAX);
  r.optional("ipam", e.ipam);
  r.optional("state", e.state);
  codec::one_of(r, "state", e.state, {"starting", "ready", "stopping"});
  e.extra = r.extra();
  FL_CHECK(r.finish());
  return e;
}

std::string encode(const Endpoint& e) {
  Json json = codec::start(e.extra);
  json["network"] = e.network;
  json["container"] = e.container;
  json["ifname"] = e.ifname;
  json["netns"] = e.netns;
  if (e.netns_inode) json["netnsInode"] = e.netns_inode;
  json["node"] = e.node;
  json["addresses"] = Json::array();
  for (const auto& a : e.addresses) json["addresses"].push_back(a.to_string());
  json["mac"] = e.mac.to_string();
  json["hostIfname"] = e.host_ifname;
  json["mtu"] = e.mtu;
  json["names"] = e.names;
  json["aliases"] = e.aliases;
  json["services"] = e.services;
  json["labels"] = Json::object();
  for (const auto& [key, value] : e.labels) json["labels"][key] = value;
  for (const auto& m : e.port_mappings) {
    Json item{{"protocol", m.protocol}, {"hostPort", m.host_port}, {"containerPort", m.container_port}};
    if (!m.host_ip.empty()) item["hostIP"] = m.host_ip;
    json["portMappings"].push_back(std::move(item));
  }
  if (const Bandwidth& b = e.bandwidth; b.any())
    json["bandwidth"] = Json{{"ingressRate", b.ingress_rate},
                             {"ingressBurst", b.ingress_burst},
                             {"egressRate", b.egress_rate},
                             {"egressBurst", b.egress_burst}};
  if (e.attempt) json["attempt"] = e.attempt;
  json["ipam"] = e.ipam;
  json["state"] = e.state;
  return codec::text(json);
}

}  // namespace fairlead
