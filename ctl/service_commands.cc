#include "ctl/service_commands.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/duration.h"
#include "base/file.h"
#include "base/names.h"
#include "ctl/change.h"
#include "ctl/documents.h"
#include "ctl/service_rules.h"
#include "ctl/table.h"
#include "state/store.h"

namespace fairlead::ctl {
namespace {

std::string services_lock(const Context& context) { return context.paths.services() + "/.lock"; }

Result<Service> need_service(Context& context, const std::string& network, const std::string& name) {
  FL_CHECK(need_network(context, network));
  FL_TRY(auto service, load_service(context.paths, network, name));
  if (service) return *service;
  FL_TRY(auto names, list_documents(context.paths.services(network)));
  return fail("service " + name + " does not exist in network " + network + "; " +
              (names.empty() ? "the network has no services" : "there are: " + join(names, ", ")));
}

// Decides the addresses, checks the service against its neighbours and writes it.
Output finish(Context& context, Change& change, const Network& network, Service service, const char* done) {
  FL_TRY(auto others, read_services(context));
  FL_TRY(auto endpoints, read_endpoints(context));
  FL_CHECK(give_vips(service, network, others));
  FL_CHECK(check_vips(service, network, others));
  FL_CHECK(check_published(service, others, endpoints));
  // What we write must be what the daemons accept: their decoder has the last word.
  FL_TRY(Json json, parse_json(encode(service), "service " + service.name));
  FL_TRY(service, decode_service(json, "service " + service.name));
  FL_CHECK(change.write("services/" + service.network + "/" + service.name,
                        context.paths.service(service.network, service.name), encode(service)));
  if (context.json) return json_text(json);
  std::string text = "service " + service.name + " of network " + service.network + " is " + done;
  if (!service.vips.empty()) text += ", VIP " + join(texts(service.vips), " and ");
  return text + "\n";
}

std::string port_text(const ServicePort& p) {
  std::string text = (p.name.empty() ? "" : p.name + "=") + std::to_string(p.port);
  if (p.target != p.port) text += ":" + std::to_string(p.target);
  return text + "/" + p.protocol;
}

std::string ports_text(const std::vector<ServicePort>& ports) {
  std::vector<std::string> out;
  for (const auto& p : ports) out.push_back(port_text(p));
  return join(out);
}

std::string published_text(const std::vector<ServicePort>& ports) {
  std::vector<std::string> out;
  for (const auto& p : ports)
    if (p.published)
      out.push_back(std::to_string(p.published) + ":" + std::to_string(p.port) + "/" + p.protocol +
                    (p.publish_mode == "host" ? " (host)" : ""));
  return join(out);
}

std::string health_text(const Service& s) {
  if (!s.health) return "";
  const HealthCheck& h = *s.health;
  std::string text = h.type;
  if (h.port) text += ":" + std::to_string(h.port);
  if (h.type == "http") text += h.path;
  return text + ", every " + duration_text(h.interval_ms) + ", timeout " + duration_text(h.timeout_ms) +
         ", out after " + std::to_string(h.unhealthy_after) + ", in after " + std::to_string(h.healthy_after);
}

struct Task {
  const Endpoint* endpoint;
  bool healthy;
};

std::vector<Task> tasks_of(const Service& service, const std::vector<Endpoint>& endpoints,
                           const std::set<std::string>& unhealthy) {
  std::vector<Task> tasks;
  for (const auto& e : endpoints) {
    if (e.network != service.network) continue;
    if (std::find(e.services.begin(), e.services.end(), service.name) == e.services.end()) continue;
    tasks.push_back({&e, e.state == "ready" && !unhealthy.count(e.key())});
  }
  return tasks;
}

std::string task_name(const Endpoint& e) {
  return e.names.empty() ? std::string(short_id(e.container)) : e.names.front();
}

uint32_t weight_of(const Service& s, const Endpoint& e) {
  for (const auto& [name, weight] : s.weights) {
    if (std::find(e.names.begin(), e.names.end(), name) != e.names.end()) return weight;
    for (const auto& address : e.addresses)
      if (address.to_string() == name) return weight;
  }
  return e.weight();
}

std::string describe(const Service& s, const std::vector<Task>& tasks) {
  std::string text = list({{"name", s.name},
                           {"network", s.network},
                           {"endpoint mode", s.endpoint_mode},
                           {"VIPs", join(texts(s.vips))},
                           {"ports", ports_text(s.ports)},
                           {"published", published_text(s.ports)},
                           {"scheduler", s.scheduler},
                           {"affinity", s.affinity_seconds ? duration_text(s.affinity_seconds * 1000) : ""},
                           {"health", health_text(s)},
                           {"HTTP hosts", join(s.http_hosts)},
                           {"drain", duration_text(s.drain_ms)},
                           {"tasks", std::to_string(tasks.size())}});
  if (tasks.empty()) return text;
  std::vector<std::vector<std::string>> rows;
  for (const auto& task : tasks)
    rows.push_back({task_name(*task.endpoint), std::string(short_id(task.endpoint->container)),
                    join(texts(task.endpoint->addresses)), std::to_string(weight_of(s, *task.endpoint)),
                    task.endpoint->state, task.healthy ? "yes" : "no"});
  return text + "\n" + table({"TASK", "CONTAINER", "ADDRESSES", "WEIGHT", "STATE", "HEALTHY"}, rows);
}

}  // namespace

Output service_create(Context& context, const ServiceOptions& options) {
  FL_CHECK(check_object_name("service name", options.name));
  FL_CHECK(need_network(context, options.network));
  return change_documents(context, services_lock(context), [&](Change& change) -> Output {
    FL_TRY(auto network, need_network(context, options.network));  // it may have gone while we waited
    FL_TRY(auto existing, load_service(context.paths, options.network, options.name));
    if (existing)
      return fail("service " + options.name + " of network " + options.network +
                  " exists already; change it with: fairleadctl service update");
    Service service;
    FL_CHECK(apply(options, service));
    return finish(context, change, network, std::move(service), "created");
  });
}

Output service_update(Context& context, const ServiceOptions& options) {
  return change_documents(context, services_lock(context), [&](Change& change) -> Output {
    FL_TRY(auto network, need_network(context, options.network));
    FL_TRY(auto service, need_service(context, options.network, options.name));
    FL_CHECK(apply(options, service));
    return finish(context, change, network, std::move(service), "updated");
  });
}

Output service_list(Context& context, const std::string& network) {
  if (!network.empty()) FL_CHECK(need_network(context, network));
  FL_TRY(auto services, read_services(context, network));
  if (context.json) return json_array(services);
  FL_TRY(auto endpoints, read_all_endpoints(context, network));
  std::vector<std::vector<std::string>> rows;
  for (const auto& s : services) {
    auto tasks = tasks_of(s, endpoints, read_unhealthy(context, s));
    auto healthy = std::count_if(tasks.begin(), tasks.end(), [](const Task& t) { return t.healthy; });
    rows.push_back({s.network, s.name, s.endpoint_mode, join(texts(s.vips)), ports_text(s.ports),
                    published_text(s.ports), s.scheduler,
                    std::to_string(healthy) + "/" + std::to_string(tasks.size())});
  }
  return table({"NETWORK", "NAME", "MODE", "VIPS", "PORTS", "PUBLISHED", "SCHEDULER", "HEALTHY"}, rows);
}

Output service_inspect(Context& context, const std::string& network, const std::string& name) {
  FL_TRY(auto service, need_service(context, network, name));
  FL_TRY(auto endpoints, read_all_endpoints(context, network));
  auto tasks = tasks_of(service, endpoints, read_unhealthy(context, service));
  if (!context.json) return describe(service, tasks);
  FL_TRY(Json json, document_of(encode(service)));
  json["tasks"] = Json::array();
  for (const auto& task : tasks)
    json["tasks"].push_back({{"name", task_name(*task.endpoint)},
                             {"container", task.endpoint->container},
                             {"node", task.endpoint->node},
                             {"addresses", texts(task.endpoint->addresses)},
                             {"weight", weight_of(service, *task.endpoint)},
                             {"state", task.endpoint->state},
                             {"healthy", task.healthy}});
  return json_text(json);
}

Output service_remove(Context& context, const std::string& network, const std::string& name) {
  return change_documents(context, services_lock(context), [&](Change& change) -> Output {
    FL_CHECK(need_service(context, network, name));
    FL_CHECK(change.remove("services/" + network + "/" + name, context.paths.service(network, name)));
    return context.json ? "" : "service " + name + " of network " + network + " is removed\n";
  });
}

}  // namespace fairlead::ctl
