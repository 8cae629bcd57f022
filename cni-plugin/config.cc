#include "cni-plugin/config.h"

#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "base/names.h"

namespace fairlead::plugin {
namespace {

using cni::cni_fail;
using cni::CniResult;
using cni::Request;

constexpr const char* kSource = "configuration";

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    auto comma = std::min(text.find(','), text.size());
    if (comma > 0) parts.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return parts;
}

void add(std::vector<std::string>& list, const std::string& name) {
  if (std::find(list.begin(), list.end(), name) == list.end()) list.push_back(name);
}

std::string network_name(const Request& request) {
  std::string name = request.name;
  const Json* key = cni::find_member(*request.conf, "network");
  if (key && key->is_string()) name = key->get<std::string>();
  return name;
}

CniResult<std::string> checked_network_name(const Request& request) {
  std::string name = network_name(request);
  if (auto good = check_object_name("network name", name); !good)
    return cni_fail(cni::kInvalidConfig, good.error().message + "; set the key \"network\"");
  return name;
}

std::string ipam_type(const Request& request) {
  const Json* ipam = cni::find_member(*request.conf, "ipam");
  if (!ipam || !ipam->is_object()) return std::string(kOwnIpam);
  auto type = ipam->find("type");
  return type != ipam->end() && type->is_string() ? type->get<std::string>() : std::string();
}

// The part of the configuration that makes a network when there is none yet. The document's decoder is the schema, so
// both say the same about the same value.
CniResult<Network> read_network(const Request& request, const std::string& name) {
  Json document{{"name", name}, {"vni", 1}};
  bool has_vni = false;
  for (const char* key :
       {"vni", "subnets", "encryption", "internal", "mtu", "vxlanPort", "forwardSingleLabels", "dnsServers"}) {
    const Json* value = cni::find_member(*request.conf, key);
    if (!value) continue;
    document[key] = *value;
    has_vni |= std::string_view(key) == "vni";
  }
  auto network = decode_network(document, kSource);
  if (!network) return cni_fail(cni::kInvalidConfig, network.error().message);
  if (!has_vni) network->vni = 0;
  return *network;
}

CniResult<void> add_name(Config& config, std::string_view key, const std::string& name) {
  if (!is_dns_name(name))
    return cni_fail(cni::kInvalidEnvironment,
                    "CNI_ARGS: " + std::string(key) + "=" + name.substr(0, 80) + " is not a DNS name");
  add(config.names, name);
  return {};
}

CniResult<void> add_services(Config& config, std::string_view where, const std::vector<std::string>& services) {
  for (const auto& service : services) {
    if (auto good = check_object_name("service name", service); !good)
      return cni_fail(cni::kInvalidConfig, std::string(where) + ": " + good.error().message);
    add(config.services, service);
  }
  return {};
}

CniResult<void> add_aliases(Config& config, std::string_view where, const std::vector<std::string>& aliases) {
  for (const auto& alias : aliases) {
    if (!is_dns_name(alias))
      return cni_fail(cni::kInvalidConfig, std::string(where) + ": \"" + alias.substr(0, 80) + "\" is not a DNS name");
    add(config.aliases, alias);
  }
  return {};
}

// Kubernetes' pod names reach us from containerd's CRI and, for every container, from Podman. They were not chosen for
// DNS: one that is no DNS name is left out rather than failing the container.
void add_pod_names(Config& config, const Request& request) {
  const std::string* pod = request.arg("K8S_POD_NAME");
  if (!pod || pod->empty()) return;
  if (!is_dns_name(*pod)) {
    fprintf(stderr, "fairlead: K8S_POD_NAME \"%.80s\" is not a DNS name; the container gets none from it\n",
            pod->c_str());
    return;
  }
  add(config.names, *pod);
  const std::string* space = request.arg("K8S_POD_NAMESPACE");
  if (space && !space->empty() && is_dns_name(*pod + "." + *space)) add(config.names, *pod + "." + *space);
}

CniResult<void> read_names(Config& config, const Request& request) {
  ObjectReader r(*request.conf, kSource);
  std::vector<std::string> services;
  r.optional("services", services, 64);
  if (auto good = r.finish(); !good) return cni_fail(cni::kInvalidConfig, good.error().message);
  FL_CHECK(add_services(config, "services", services));
  if (const auto* name = request.arg("FAIRLEAD_NAME"); name && !name->empty())
    FL_CHECK(add_name(config, "FAIRLEAD_NAME", *name));
  if (const auto* list = request.arg("FAIRLEAD_SERVICES"))
    FL_CHECK(add_services(config, "CNI_ARGS: FAIRLEAD_SERVICES", split(*list)));
  if (const auto* list = request.arg("FAIRLEAD_ALIASES"))
    FL_CHECK(add_aliases(config, "CNI_ARGS: FAIRLEAD_ALIASES", split(*list)));
  add_pod_names(config, request);
  FL_TRY(config.labels, cni::labels(request));
  for (const auto& [key, value] : config.labels) {
    if (key == "fairlead.service") FL_CHECK(add_services(config, "label fairlead.service", split(value)));
    if (key == "fairlead.alias") FL_CHECK(add_aliases(config, "label fairlead.alias", split(value)));
    if (key == "fairlead.name") FL_CHECK(add_name(config, "label fairlead.name", value));
  }
  FL_TRY(auto aliases, cni::aliases(request, config.network.name));
  return add_aliases(config, "aliases", aliases);
}

// CONVENTIONS.md: a plugin that cannot act on a capability it was handed should say so.
CniResult<void> refuse_impossible(const Request& request) {
  for (const char* key : {"infinibandGUID", "deviceID"}) {
    const Json* value = cni::capability(request, key);
    if (value)
      return cni_fail(cni::kUnsupportedField,
                      std::string(key) + ": " + dump_json(*value).substr(0, 80) + ": not supported by fairlead");
  }
  return {};
}

}  // namespace

CniResult<Config> read_config(const Request& request) {
  Config config;
  FL_TRY(auto name, checked_network_name(request));
  FL_TRY(config.network, read_network(request, name));
  config.ipam_type = ipam_type(request);
  if (config.ipam_type.empty()) return cni_fail(cni::kInvalidConfig, "configuration: /ipam/type: is missing");
  if (config.ipam_type == kImpossibleIpam)
    return cni_fail(cni::kUnsupportedField,
                    "ipam.type: " + config.ipam_type +
                        ": a container has no broadcast domain in which a DHCP server could be found (its network is "
                        "routed); use fairlead-ipam, host-local or static");
  FL_CHECK(refuse_impossible(request));
  FL_TRY(config.mac, cni::requested_mac(request));
  FL_TRY(config.dns, cni::conf_dns(request));
  FL_TRY(auto runtime_dns, cni::runtime_dns(request));
  if (runtime_dns) config.dns = *runtime_dns;
  FL_CHECK(read_names(config, request));
  FL_TRY(auto ports, cni::port_mappings(request));
  for (const auto& p : ports)
    config.port_mappings.push_back(
        {p.protocol, p.host_port, p.container_port, p.host_ip ? p.host_ip->to_string() : std::string()});
  FL_TRY(auto limits, cni::bandwidth(request));
  config.bandwidth = {limits.ingress_rate, limits.ingress_burst, limits.egress_rate, limits.egress_burst};
  return config;
}

CniResult<Target> read_target(const Request& request) {
  FL_TRY(auto name, checked_network_name(request));
  std::string type = ipam_type(request);
  // ADD refused it without a call, so there is nothing to be given back.
  if (type == kImpossibleIpam) type.clear();
  return Target{std::move(name), std::move(type)};
}

namespace {

void add_subnet(std::vector<Prefix>& subnets, const Json& text) {
  if (!text.is_string()) return;
  auto prefix = Prefix::parse(text.get<std::string>());
  if (!prefix || prefix->host_bits() < 3) return;
  prefix->address = prefix->first();
  for (const auto& other : subnets)
    if (other.family() == prefix->family()) return;
  subnets.push_back(*prefix);
}

}  // namespace

std::vector<Prefix> subnets_of_ipam(const Json& conf) {
  std::vector<Prefix> subnets;
  const Json* ipam = cni::find_member(conf, "ipam");
  if (!ipam || !ipam->is_object()) return subnets;
  auto member = [](const Json& object, const char* key) -> Json {
    return object.is_object() && object.contains(key) ? object[key] : Json();
  };
  add_subnet(subnets, member(*ipam, "subnet"));
  for (const auto& set : member(*ipam, "ranges"))
    for (const auto& range : set) add_subnet(subnets, member(range, "subnet"));
  for (const auto& address : member(*ipam, "addresses")) add_subnet(subnets, member(address, "address"));
  return subnets;
}

}  // namespace fairlead::plugin
