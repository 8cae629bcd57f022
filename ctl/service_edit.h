// What the options of `fairleadctl service create|update` make of a service. Pure: no files, no kernel.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "ctl/parse.h"
#include "state/records.h"

namespace fairlead::ctl {

// As typed. nullopt: the option was not given. The word "none" empties ports, publications, health and hosts.
struct ServiceArguments {
  std::string network, name;
  std::optional<std::vector<std::string>> ports, publications, http_hosts, vips, weights;
  std::optional<std::string> publish_mode, endpoint_mode, scheduler, affinity, drain;
  std::optional<std::string> health, health_interval, health_timeout;
  std::optional<uint32_t> unhealthy_after, healthy_after;
};

// As understood.
struct ServiceOptions {
  std::string network, name;
  std::optional<std::vector<ServicePort>> ports;
  std::optional<std::vector<Publication>> publications;
  std::optional<std::vector<std::string>> http_hosts;
  std::optional<std::vector<Address>> vips;
  std::vector<std::pair<std::string, uint32_t>> weights;
  std::optional<std::string> publish_mode, endpoint_mode, scheduler;
  std::optional<uint32_t> affinity_seconds, drain_ms;
  std::optional<std::optional<HealthCheck>> health;  // given and nullopt: no check any more
  std::optional<uint32_t> health_interval_ms, health_timeout_ms, unhealthy_after, healthy_after;
};

// Errors are wrong usage.
Result<ServiceOptions> parse(const ServiceArguments& arguments);

// What was not given stays as it is. Ports are replaced as a whole, and so are publications; a port that stays keeps
// its name and, unless publications are given, its publication. Errors: options that contradict each other or the
// service.
Result<void> apply(const ServiceOptions& options, Service& service);

}  // namespace fairlead::ctl
