#include "lb/report.h"

#include <nlohmann/json.hpp>

#include "base/json.h"

namespace fairlead::lb {
namespace {

class Text {
 public:
  void metric(const char* name, const char* type, const char* help) {
    text_ += std::string("# HELP ") + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
    name_ = name;
  }
  // Names of networks and services have no character that would need escaping (base/names.h).
  void value(const std::string& labels, uint64_t value) {
    text_ += name_ + (labels.empty() ? "" : "{" + labels + "}") + " " + std::to_string(value) + "\n";
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_, name_;
};

std::string label(const char* name, const std::string& value) { return std::string(name) + "=\"" + value + "\""; }

}  // namespace

std::string metrics_text(const Report& r) {
  Text t;
  t.metric("fairlead_lb_backends", "gauge", "Backends of a service by state");
  for (const auto& [key, s] : r.services) {
    std::string service = label("network", key.first) + "," + label("service", key.second);
    t.value(service + "," + label("state", "serving"), s.serving);
    t.value(service + "," + label("state", "draining"), s.draining);
    t.value(service + "," + label("state", "unhealthy"), s.unhealthy);
  }
  t.metric("fairlead_lb_health_transitions_total", "counter", "Changes between healthy and unhealthy");
  for (const auto& [key, s] : r.services)
    t.value(label("network", key.first) + "," + label("service", key.second), s.health_transitions);
  t.metric("fairlead_lb_health_checks_total", "counter", "Health checks made");
  t.value("", r.health_checks);
  t.metric("fairlead_lb_health_check_failures_total", "counter", "Health checks that failed");
  t.value("", r.health_failures);
  t.metric("fairlead_lb_repairs_total", "counter", "Kernel state somebody else had changed and that was restored");
  for (const auto& [kind, count] : r.repairs) t.value(label("kind", kind), count);
  t.metric("fairlead_lb_applies_total", "counter", "Router plans applied");
  t.value("", r.applies);
  t.metric("fairlead_lb_apply_failures_total", "counter", "Router and host plans that could not be applied");
  t.value("", r.failures);
  t.metric("fairlead_lb_routers", "gauge", "Routers on this node");
  t.value("", r.routers);
  t.metric("fairlead_lb_published_ports", "gauge", "Published ports on this node, by address family");
  t.value("", r.published_ports);
  t.metric("fairlead_lb_problems", "gauge", "Things that are asked for and not done; GET /status names them");
  t.value("", r.problems.size());
  return t.take();
}

std::string status_json(const Report& r) {
  Json json{{"balancer", r.balancer}, {"routers", r.routers}, {"publishedPorts", r.published_ports}};
  json["services"] = Json::array();
  for (const auto& [key, s] : r.services)
    json["services"].push_back(Json{{"network", key.first},
                                    {"name", key.second},
                                    {"serving", s.serving},
                                    {"draining", s.draining},
                                    {"unhealthy", s.unhealthy}});
  json["repairs"] = Json::object();
  for (const auto& [kind, count] : r.repairs) json["repairs"][kind] = count;
  json["problems"] = Json::array();
  for (const auto& [object, text] : r.problems) json["problems"].push_back(Json{{"object", object}, {"problem", text}});
  return dump_json(json, 1);
}

}  // namespace fairlead::lb
