// What a service says for itself, without looking at other documents (plan.h).
#include <set>

#include "lb/plan.h"

namespace fairlead::lb {

uint16_t health_port(const Service& service) {
  if (!service.health) return 0;
  if (service.health->port) return static_cast<uint16_t>(service.health->port);
  for (const auto& port : service.ports)
    if (port.protocol == "tcp") return static_cast<uint16_t>(port.target);
  return 0;
}

std::string scheduler_problem(const Service& service) {
  static const std::set<std::string> known = {"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh",
                                              "sh", "sed", "nq", "fo",  "ovf",  "mh"};
  if (known.count(service.scheduler)) return "";
  return "scheduler \"" + service.scheduler +
         "\" is unknown: expected one of rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh";
}

}  // namespace fairlead::lb
