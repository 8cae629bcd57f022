#include "ctl/service_edit.h"

#include <algorithm>

namespace fairlead::ctl {
namespace {

// "none" alone is the empty list.
bool is_none(const std::vector<std::string>& texts) { return texts.size() == 1 && texts[0] == "none"; }

template <class T, class Parse>
Result<void> parse_each(const std::optional<std::vector<std::string>>& texts, std::optional<std::vector<T>>& out,
                        Parse parse_one) {
  if (!texts) return {};
  out.emplace();
  if (is_none(*texts)) return {};
  for (const auto& text : *texts) {
    FL_TRY(T value, parse_one(text));
    out->push_back(std::move(value));
  }
  return {};
}

Result<void> parse_duration_option(const char* option, const std::optional<std::string>& text, uint32_t min,
                                   uint32_t max, std::optional<uint32_t>& ms) {
  if (!text) return {};
  FL_TRY(ms, parse_option_duration(option, *text, min, max));
  return {};
}

Result<void> parse_health_options(const ServiceArguments& a, ServiceOptions& o) {
  if (a.health && *a.health == "none") {
    o.health.emplace();
  } else if (a.health) {
    FL_TRY(HealthCheck check, parse_health(*a.health));
    o.health.emplace(check);
  }
  FL_CHECK(parse_duration_option("--health-interval", a.health_interval, 50, 3600000, o.health_interval_ms));
  FL_CHECK(parse_duration_option("--health-timeout", a.health_timeout, 10, 600000, o.health_timeout_ms));
  o.unhealthy_after = a.unhealthy_after;
  o.healthy_after = a.healthy_after;
  return {};
}

std::string name_of(const ServicePort& p) { return std::to_string(p.port) + "/" + p.protocol; }

// The ports a publication can mean. TARGET is the container's port, as in --port; the port on the VIP is understood,
// too, because that is the number people know the service by.
Result<ServicePort*> find_target(std::vector<ServicePort>& ports, const Publication& wanted) {
  ServicePort* by_target = nullptr;
  ServicePort* by_port = nullptr;
  for (auto& p : ports) {
    if (p.protocol != wanted.protocol) continue;
    if (p.target == wanted.target && !by_target) by_target = &p;
    if (p.port == wanted.target) by_port = &p;
  }
  if (by_target && by_port && by_target != by_port)
    return fail("--publish " + std::to_string(wanted.published) + ":" + std::to_string(wanted.target) + "/" +
                wanted.protocol + ": " + std::to_string(wanted.target) + " is the service's port " + name_of(*by_port) +
                " and the container's port behind " + name_of(*by_target) +
                "; give the service ports that differ from the containers' ports");
  return by_target ? by_target : by_port;
}

Result<void> publish(std::vector<ServicePort>& ports, const std::vector<Publication>& publications) {
  for (auto& p : ports) p.published = 0;
  for (const auto& wanted : publications) {
    FL_TRY(ServicePort * port, find_target(ports, wanted));
    if (!port) {
      ServicePort added;
      added.protocol = wanted.protocol;
      added.port = added.target = wanted.target;
      port = &ports.emplace_back(added);
    }
    if (port->published)
      return fail("--publish " + std::to_string(wanted.published) + ":" + std::to_string(wanted.target) + ": port " +
                  name_of(*port) + " is published as " + std::to_string(port->published) + " already");
    port->published = wanted.published;
  }
  return {};
}

Result<void> apply_ports(const ServiceOptions& o, Service& s) {
  if (o.ports) {
    std::vector<ServicePort> ports = *o.ports;
    for (auto& port : ports)
      for (const auto& old : s.ports)
        if (old.port == port.port && old.protocol == port.protocol) {
          if (port.name.empty()) port.name = old.name;
          port.published = old.published;
          port.publish_mode = old.publish_mode;
        }
    s.ports = std::move(ports);
  }
  if (o.publications) FL_CHECK(publish(s.ports, *o.publications));
  if (!o.publish_mode) return {};
  for (auto& port : s.ports)
    if (port.published) port.publish_mode = *o.publish_mode;
  return {};
}

Result<void> apply_health(const ServiceOptions& o, Service& s) {
  if (o.health) {
    HealthCheck old = s.health.value_or(HealthCheck{});
    s.health = *o.health;
    if (s.health) {  // a new target keeps the old rhythm
      s.health->interval_ms = old.interval_ms;
      s.health->timeout_ms = old.timeout_ms;
      s.health->unhealthy_after = old.unhealthy_after;
      s.health->healthy_after = old.healthy_after;
    }
  }
  if (!o.health_interval_ms && !o.health_timeout_ms && !o.unhealthy_after && !o.healthy_after) return {};
  if (!s.health) return fail("a service without --health has no interval, timeout or counts");
  HealthCheck& h = *s.health;
  h.interval_ms = o.health_interval_ms.value_or(h.interval_ms);
  h.timeout_ms = o.health_timeout_ms.value_or(h.timeout_ms);
  h.unhealthy_after = o.unhealthy_after.value_or(h.unhealthy_after);
  h.healthy_after = o.healthy_after.value_or(h.healthy_after);
  return {};
}

void apply_weights(const ServiceOptions& o, Service& s) {
  for (const auto& wanted : o.weights) {
    auto found =
        std::find_if(s.weights.begin(), s.weights.end(), [&](const auto& w) { return w.first == wanted.first; });
    if (found == s.weights.end()) found = s.weights.insert(s.weights.end(), wanted);
    found->second = wanted.second;
  }
}

}  // namespace

Result<ServiceOptions> parse(const ServiceArguments& a) {
  ServiceOptions o;
  o.network = a.network;
  o.name = a.name;
  FL_CHECK(parse_each(a.ports, o.ports, parse_port));
  FL_CHECK(parse_each(a.publications, o.publications, parse_publication));
  FL_CHECK(parse_each(a.http_hosts, o.http_hosts, [](const std::string& host) { return Result<std::string>(host); }));
  if (a.vips) {
    FL_TRY(o.vips, parse_vips(*a.vips));
  }
  for (const auto& text : a.weights.value_or(std::vector<std::string>{})) {
    FL_TRY(auto weight, parse_weight(text));
    o.weights.push_back(weight);
  }
  o.publish_mode = a.publish_mode;
  o.endpoint_mode = a.endpoint_mode;
  o.scheduler = a.scheduler;
  FL_CHECK(parse_duration_option("--drain", a.drain, 0, 86400000, o.drain_ms));
  std::optional<uint32_t> affinity_ms;
  FL_CHECK(parse_duration_option("--affinity", a.affinity, 0, 86400000, affinity_ms));
  if (affinity_ms && *affinity_ms % 1000) return fail("--affinity " + *a.affinity + ": expected whole seconds");
  if (affinity_ms) o.affinity_seconds = *affinity_ms / 1000;
  FL_CHECK(parse_health_options(a, o));
  if (o.vips && o.endpoint_mode == "dnsrr") return fail("--endpoint-mode dnsrr has no VIP; leave --vip out");
  return o;
}

Result<void> apply(const ServiceOptions& o, Service& s) {
  s.network = o.network;
  s.name = o.name;
  s.endpoint_mode = o.endpoint_mode.value_or(s.endpoint_mode);
  if (o.vips) s.vips = *o.vips;
  if (s.endpoint_mode == "dnsrr") {
    if (o.vips)
      return fail("--vip: service " + s.name + " is in endpoint mode dnsrr; give --endpoint-mode vip as well");
    s.vips.clear();
  }
  s.scheduler = o.scheduler.value_or(s.scheduler);
  s.affinity_seconds = o.affinity_seconds.value_or(s.affinity_seconds);
  s.drain_ms = o.drain_ms.value_or(s.drain_ms);
  if (o.http_hosts) s.http_hosts = *o.http_hosts;
  FL_CHECK(apply_ports(o, s));
  FL_CHECK(apply_health(o, s));
  apply_weights(o, s);
  return {};
}

}  // namespace fairlead::ctl
