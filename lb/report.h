// What fairlead-lb tells about itself: metrics in Prometheus' text format, status as JSON. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace fairlead::lb {

struct ServiceReport {
  uint32_t serving = 0, draining = 0, unhealthy = 0;  // an unhealthy one that drains counts twice
  uint64_t health_transitions = 0;
};

struct Report {
  std::string balancer;
  std::map<std::pair<std::string, std::string>, ServiceReport> services;  // network, service
  std::map<std::string, uint64_t> repairs;                                // kind → count
  std::vector<std::pair<std::string, std::string>> problems;              // object, text
  uint64_t applies = 0, failures = 0, health_checks = 0, health_failures = 0;
  uint32_t routers = 0, published_ports = 0;
};

std::string metrics_text(const Report& report);
std::string status_json(const Report& report);

}  // namespace fairlead::lb
