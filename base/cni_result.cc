#include "base/cni_result.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include "base/cni.h"

namespace fairlead::cni {
namespace {

constexpr size_t kMaxItems = 4096;

void read_address(ObjectReader& r, std::string_view key, std::optional<Address>& value) {
  std::string text;
  r.optional(key, text);
  if (text.empty()) return;  // Go writes an unset net.IP as ""
  auto parsed = Address::parse(text);
  if (!parsed) return r.problem(key, parsed.error().message);
  value = *parsed;
}

void read_prefix(ObjectReader& r, std::string_view key, Prefix& value) {
  std::string text;
  r.required(key, text);
  if (!r.ok()) return;
  auto parsed = Prefix::parse(text);
  if (!parsed) return r.problem(key, parsed.error().message);
  if (text.find('/') == text.npos) return r.problem(key, "expected ADDRESS/LENGTH, found \"" + text + "\"");
  value = *parsed;
}

void read_number(ObjectReader& r, std::string_view key, std::optional<uint32_t>& value) {
  if (!r.has(key)) return;
  uint32_t number = 0;
  r.optional(key, number, 0, UINT32_MAX);
  value = number;
}

RouteConfig read_route(ObjectReader& r) {
  RouteConfig route;
  read_prefix(r, "dst", route.destination);
  read_address(r, "gw", route.gateway);
  read_number(r, "mtu", route.mtu);
  read_number(r, "advmss", route.advmss);
  read_number(r, "priority", route.priority);
  read_number(r, "table", route.table);
  read_number(r, "scope", route.scope);
  return route;
}

// 0.1.0 and 0.2.0: one address per family, routes inside.
void read_family(ObjectReader& reader, std::string_view key, int family, AddResult& result) {
  reader.object(key, [&](ObjectReader& r) {
    IpConfig ip;
    read_prefix(r, "ip", ip.address);
    read_address(r, "gateway", ip.gateway);
    if (r.ok() && ip.address.family() != family) r.problem("ip", "is of the other address family");
    result.ips.push_back(ip);
    r.each(
        "routes", [&](ObjectReader& route) { result.routes.push_back(read_route(route)); }, kMaxItems);
  });
}

void read_lists(ObjectReader& reader, AddResult& result) {
  reader.each(
      "interfaces",
      [&](ObjectReader& r) {
        Interface i;
        r.required("name", i.name);
        r.optional("mac", i.mac);
        r.optional("mtu", i.mtu, 0, UINT32_MAX);
        r.optional("sandbox", i.sandbox);
        r.optional("socketPath", i.socket_path);
        r.optional("pciID", i.pci_id);
        result.interfaces.push_back(std::move(i));
      },
      kMaxItems);
  reader.each(
      "ips",
      [&](ObjectReader& r) {
        IpConfig ip;
        read_prefix(r, "address", ip.address);
        read_address(r, "gateway", ip.gateway);
        read_number(r, "interface", ip.interface);
        result.ips.push_back(ip);
      },
      kMaxItems);
  reader.each(
      "routes", [&](ObjectReader& r) { result.routes.push_back(read_route(r)); }, kMaxItems);
}

void read_dns(ObjectReader& r, Dns& dns) {
  r.optional("nameservers", dns.nameservers);
  r.optional("domain", dns.domain);
  r.optional("search", dns.search);
  r.optional("options", dns.options);
}

Json dns_json(const Dns& dns) {
  Json j = Json::object();
  if (!dns.nameservers.empty()) j["nameservers"] = dns.nameservers;
  if (!dns.domain.empty()) j["domain"] = dns.domain;
  if (!dns.search.empty()) j["search"] = dns.search;
  if (!dns.options.empty()) j["options"] = dns.options;
  return j;
}

Json old_route_json(const RouteConfig& route) {
  Json j{{"dst", route.destination.to_string()}};
  if (route.gateway) j["gw"] = route.gateway->to_string();
  return j;
}

CniResult<std::string> encode_020(const AddResult& result, std::string_view version) {
  if (result.ips.empty())
    return cni_fail(kOwnError, "a result without addresses cannot be told in version " + std::string(version));
  Json j{{"cniVersion", version}, {"dns", dns_json(result.dns)}};
  for (const auto& ip : result.ips) {
    const char* key = ip.address.family() == AF_INET ? "ip4" : "ip6";
    if (j.contains(key)) continue;  // only the first of each family has a place
    Json& family = j[key] = Json{{"ip", ip.address.to_string()}};
    if (ip.gateway) family["gateway"] = ip.gateway->to_string();
    for (const auto& route : result.routes)
      if (route.destination.family() == ip.address.family()) family["routes"].push_back(old_route_json(route));
  }
  return dump_json(j);
}

Json interface_json(const Interface& i, bool newest) {
  Json j{{"name", i.name}};
  if (!i.mac.empty()) j["mac"] = i.mac;
  if (!i.sandbox.empty()) j["sandbox"] = i.sandbox;
  if (!newest) return j;
  if (i.mtu) j["mtu"] = i.mtu;
  if (!i.socket_path.empty()) j["socketPath"] = i.socket_path;
  if (!i.pci_id.empty()) j["pciID"] = i.pci_id;
  return j;
}

Json ip_json(const IpConfig& ip, bool with_version) {
  Json j{{"address", ip.address.to_string()}};
  if (with_version) j["version"] = ip.address.family() == AF_INET ? "4" : "6";
  if (ip.gateway) j["gateway"] = ip.gateway->to_string();
  if (ip.interface) j["interface"] = *ip.interface;
  return j;
}

Json route_json(const RouteConfig& route, bool newest) {
  Json j = old_route_json(route);
  if (!newest) return j;
  auto put = [&](const char* key, const std::optional<uint32_t>& value) {
    if (value) j[key] = *value;
  };
  put("mtu", route.mtu);
  put("advmss", route.advmss);
  put("priority", route.priority);
  put("table", route.table);
  put("scope", route.scope);
  return j;
}

constexpr std::array<std::string_view, 7> kVersions{"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};

}  // namespace

bool is_supported_version(std::string_view version) {
  return std::find(kVersions.begin(), kVersions.end(), version) != kVersions.end();
}

bool version_at_least(std::string_view version, std::string_view at_least) {
  return std::find(kVersions.begin(), kVersions.end(), version) >=
         std::find(kVersions.begin(), kVersions.end(), at_least);
}

const std::vector<std::string>& supported_versions() {
  static const std::vector<std::string> versions(kVersions.begin(), kVersions.end());
  return versions;
}

Result<Dns> decode_dns(const Json& json, const std::string& source) {
  ObjectReader r(json, source);
  Dns dns;
  read_dns(r, dns);
  FL_CHECK(r.finish());
  return dns;
}

CniResult<AddResult> decode_result(const Json& json, std::string_view assumed_version, const std::string& source) {
  ObjectReader r(json, source);
  std::string version;
  r.optional("cniVersion", version);
  if (version.empty()) version = assumed_version;
  if (r.ok() && !is_supported_version(version))
    return cni_fail(kIncompatibleVersion,
                    source + ": a result of the unsupported cniVersion \"" + version.substr(0, 32) + "\"");
  AddResult result;
  if (version_at_least(version, "0.3.0")) {
    read_lists(r, result);
  } else {
    read_family(r, "ip4", AF_INET, result);
    read_family(r, "ip6", AF_INET6, result);
  }
  r.object("dns", [&](ObjectReader& dns) { read_dns(dns, result.dns); });
  if (auto done = r.finish(); !done) return cni_fail(kDecodingFailure, done.error().message);
  return result;
}

CniResult<std::string> encode(const AddResult& result, std::string_view version) {
  if (!version_at_least(version, "0.3.0")) return encode_020(result, version);
  bool newest = version_at_least(version, "1.1.0");
  bool with_ip_version = !version_at_least(version, "1.0.0");
  Json j{{"cniVersion", version}, {"dns", dns_json(result.dns)}};
  for (const auto& i : result.interfaces) j["interfaces"].push_back(interface_json(i, newest));
  for (const auto& ip : result.ips) j["ips"].push_back(ip_json(ip, with_ip_version));
  for (const auto& route : result.routes) j["routes"].push_back(route_json(route, newest));
  return dump_json(j);
}

}  // namespace fairlead::cni
