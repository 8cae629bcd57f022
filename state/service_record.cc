#include <algorithm>

#include "base/duration.h"
#include "base/names.h"
#include "state/codec.h"
#include "state/records.h"

namespace fairlead {
namespace {

using codec::Json;
constexpr size_t kMaxPorts = 256;

// RFC 6335 section 5.1, lower case.
bool is_port_name(std::string_view name) {
  auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  return !name.empty() && name.size() <= 15 && std::all_of(name.begin(), name.end(), plain) && name.front() != '-' &&
         name.back() != '-' && name.find_first_not_of("0123456789-") != std::string_view::npos;
}

void read_port(ObjectReader& r, std::vector<ServicePort>& ports) {
  ServicePort port;
  r.optional("protocol", port.protocol);
  codec::one_of(r, "protocol", port.protocol, {"tcp", "udp", "sctp"});
  r.required("port", port.port, 1, 65535);
  port.target = port.port;
  r.optional("targetPort", port.target, 1, 65535);
  r.optional("published", port.published, 0, 65535);
  r.optional("publishMode", port.publish_mode);
  codec::one_of(r, "publishMode", port.publish_mode, {"ingress", "host"});
  r.optional("name", port.name);
  if (!port.name.empty() && !is_port_name(port.name))
    r.problem("name", "expected up to 15 lower-case letters, digits and '-', with a letter (like http)");
  for (const auto& other : ports)
    if (other.port == port.port && other.protocol == port.protocol)
      r.problem("port", std::to_string(port.port) + "/" + port.protocol + " stands twice");
  ports.push_back(port);
}

void read_health(ObjectReader& r, HealthCheck& health) {
  r.optional("type", health.type);
  codec::one_of(r, "type", health.type, {"tcp", "http"});
  r.optional("port", health.port, 0, 65535);
  r.optional("path", health.path);
  r.optional("host", health.host);
  auto plain = [](char c) { return c > ' ' && c < 0x7f; };
  if (health.path.empty() || health.path[0] != '/' || health.path.size() > 1024 ||
      !std::all_of(health.path.begin(), health.path.end(), plain))
    r.problem("path", "expected a path like /healthz without spaces or control characters");
  if (!health.host.empty() && !is_dns_name(health.host)) r.problem("host", "expected a host name");
  codec::read_duration(r, "interval", health.interval_ms, 50, 3600000);
  codec::read_duration(r, "timeout", health.timeout_ms, 10, 600000);
  r.optional("unhealthyAfter", health.unhealthy_after, 1, 100);
  r.optional("healthyAfter", health.healthy_after, 1, 100);
}

void read_weights(ObjectReader& r, std::vector<std::pair<std::string, uint32_t>>& weights) {
  r.object("weights", [&](ObjectReader& w) {
    Json names = Json::parse(w.extra().empty() ? "{}" : w.extra(), nullptr, false);
    for (const auto& [name, value] : names.items()) {
      uint32_t weight = 1;
      w.required(name, weight, 0, 65535);
      weights.emplace_back(name, weight);
    }
  });
}

void read_http(ObjectReader& r, std::vector<std::string>& hosts) {
  r.each("http", [&](ObjectReader& item) {
    std::string host;
    item.required("host", host);
    if (item.ok() && !is_dns_name(host)) item.problem("host", "\"" + host.substr(0, 80) + "\" is not a host name");
    hosts.push_back(host);
  });
}

}  // namespace

Result<Service> decode_service(const Json& json, const std::string& source) {
  ObjectReader r(json, source);
  Service s;
  codec::read_version(r);
  codec::read_name(r, "network", s.network);
  codec::read_name(r, "name", s.name);
  codec::read_addresses(r, "vips", s.vips);
  r.optional("endpointMode", s.endpoint_mode);
  codec::one_of(r, "endpointMode", s.endpoint_mode, {"vip", "dnsrr"});
  r.each(
      "ports", [&](ObjectReader& item) { read_port(item, s.ports); }, kMaxPorts);
  r.optional("scheduler", s.scheduler);
  codec::one_of(r, "scheduler", s.scheduler,
                {"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh"});
  r.optional("affinitySeconds", s.affinity_seconds, 0, 86400);
  r.object("health", [&](ObjectReader& health) { read_health(health, s.health.emplace()); });
  read_http(r, s.http_hosts);
  codec::read_duration(r, "drain", s.drain_ms, 0, 86400000);
  read_weights(r, s.weights);
  if (s.endpoint_mode == "dnsrr" && !s.vips.empty()) r.problem("vips", "a service with endpointMode dnsrr has no VIP");
  s.extra = r.extra();
  FL_CHECK(r.finish());
  return s;
}

namespace {

Json encode_ports(const std::vector<ServicePort>& ports) {
  Json list = Json::array();
  for (const auto& p : ports) {
    Json item{{"protocol", p.protocol}, {"port", p.port}, {"targetPort", p.target}};
    if (!p.name.empty()) item["name"] = p.name;
    if (p.published) {
      item["published"] = p.published;
      item["publishMode"] = p.publish_mode;
    }
    list.push_back(std::move(item));
  }
  return list;
}

Json encode_health(const HealthCheck& h) {
  Json json{{"type", h.type},
            {"port", h.port},
            {"interval", duration_text(h.interval_ms)},
            {"timeout", duration_text(h.timeout_ms)},
            {"unhealthyAfter", h.unhealthy_after},
            {"healthyAfter", h.healthy_after}};
  if (h.type == "http") json["path"] = h.path;
  if (!h.host.empty()) json["host"] = h.host;
  return json;
}

}  // namespace

std::string encode(const Service& s) {
  Json json = codec::start(s.extra);
  json["network"] = s.network;
  json["name"] = s.name;
  json["vips"] = Json::array();
  for (const auto& vip : s.vips) json["vips"].push_back(vip.to_string());
  json["endpointMode"] = s.endpoint_mode;
  json["ports"] = encode_ports(s.ports);
  json["scheduler"] = s.scheduler;
  json["affinitySeconds"] = s.affinity_seconds;
  if (s.health) json["health"] = encode_health(*s.health);
  json["drain"] = duration_text(s.drain_ms);
  for (const auto& host : s.http_hosts) json["http"].push_back(Json{{"host", host}});
  for (const auto& [name, weight] : s.weights) json["weights"][name] = weight;
  return codec::text(json);
}

Result<ServiceHealth> decode_health(const Json& json, const std::string& source) {
  ObjectReader r(json, source);
  ServiceHealth h;
  codec::read_version(r);
  codec::read_name(r, "network", h.network);
  codec::read_name(r, "service", h.service);
  r.optional("unhealthy", h.unhealthy, 65536);
  h.extra = r.extra();
  FL_CHECK(r.finish());
  return h;
}

std::string encode(const ServiceHealth& h) {
  Json json = codec::start(h.extra);
  json["network"] = h.network;
  json["service"] = h.service;
  json["unhealthy"] = h.unhealthy;
  return codec::text(json);
}

}  // namespace fairlead
