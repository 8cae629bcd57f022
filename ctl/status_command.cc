#include "ctl/status_command.h"

#include <cerrno>
#include <set>

#include <nlohmann/json.hpp>

#include "base/daemon.h"
#include "ctl/documents.h"
#include "ctl/table.h"
#include "state/store.h"

namespace fairlead::ctl {
namespace {

struct DaemonState {
  std::string name;     // as its socket: agent, dns, lb
  std::string state;    // running, not running, or why it did not answer
  Json status;          // what it says about itself
};

DaemonState ask(Context& context, const std::string& name) {
  DaemonState daemon{name, "running", Json::object()};
  auto answer = get_from_daemon(context.paths.socket(name), "/status");
  if (!answer) {
    bool absent = answer.error().sys == ENOENT || answer.error().sys == ECONNREFUSED;
    daemon.state = absent ? "not running" : answer.error().message;
    return daemon;
  }
  auto status = parse_json(*answer, "fairlead-" + name);
  if (status) {
    daemon.status = std::move(*status);
  } else {
    daemon.state = status.error().message;
  }
  return daemon;
}

void read_routers(Context& context, size_t& count) {
  auto names = list_documents(context.paths.routers());
  if (!names) return context.warnings.push_back(names.error().message);
  for (const auto& name : *names) {
    auto router = load_router(context.paths, name);
    if (!router) context.warnings.push_back(router.error().message);
    if (router && *router) count++;
  }
}

struct Counts {
  size_t networks = 0, services = 0, endpoints = 0, routers = 0;
};

Result<Counts> count(Context& context) {
  Counts counts;
  FL_TRY(auto networks, read_networks(context));
  FL_TRY(auto services, read_services(context));
  FL_TRY(auto endpoints, read_endpoints(context));
  read_routers(context, counts.routers);
  counts.networks = networks.size();
  counts.services = services.size();
  counts.endpoints = endpoints.size();
  std::set<std::string> known;
  for (const auto& network : networks) known.insert(network.name);
  for (const auto& s : services) {
    if (!known.count(s.network))
      context.warnings.push_back(context.paths.service(s.network, s.name) + ": there is no network " + s.network);
    read_unhealthy(context, s);  // for what it warns of
  }
  for (const auto& e : endpoints)
    if (!known.count(e.network))
      context.warnings.push_back(context.paths.endpoint(e.network, e.container, e.ifname) + ": there is no network " +
                                 e.network);
  return counts;
}

std::string for_people(const std::vector<DaemonState>& daemons, const Counts& counts,
                       const std::vector<std::string>& problems) {
  std::vector<std::pair<std::string, std::string>> fields;
  for (const auto& daemon : daemons) fields.emplace_back("fairlead-" + daemon.name, daemon.state);
  fields.emplace_back("networks", std::to_string(counts.networks));
  fields.emplace_back("routers", std::to_string(counts.routers));
  fields.emplace_back("services", std::to_string(counts.services));
  fields.emplace_back("endpoints", std::to_string(counts.endpoints));
  fields.emplace_back("bad documents", problems.empty() ? "none" : std::to_string(problems.size()));
  std::string text = list(fields);
  for (const auto& problem : problems) text += "  " + problem + "\n";
  return text;
}

}  // namespace

Output status(Context& context) {
  std::vector<DaemonState> daemons;
  for (const char* name : {"agent", "dns", "lb"}) daemons.push_back(ask(context, name));
  FL_TRY(Counts counts, count(context));
  std::vector<std::string> problems = std::move(context.warnings);
  context.warnings.clear();
  if (!context.json) return for_people(daemons, counts, problems);
  Json json{{"networks", counts.networks},
            {"routers", counts.routers},
            {"services", counts.services},
            {"endpoints", counts.endpoints},
            {"problems", problems}};
  for (const auto& daemon : daemons)
    json["daemons"]["fairlead-" + daemon.name] = {
        {"running", daemon.state == "running"}, {"state", daemon.state}, {"status", daemon.status}};
  return json_text(json);
}

}  // namespace fairlead::ctl
