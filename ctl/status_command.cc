#include "ctl/status_command.h"

#include <algorithm>
#include <cerrno>
#include <set>

#include <nlohmann/json.hpp>

#include "base/daemon.h"
#include "ctl/documents.h"
#include "ctl/ipsec_text.h"
#include "ctl/pools.h"
#include "ctl/table.h"
#include "state/store.h"

namespace fairlead::ctl {
namespace {

struct DaemonState {
  std::string name;   // as its socket: agent, dns, lb
  std::string state;  // running, not running, or why it did not answer
  Json status;        // what it says about itself
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

std::string text_of(const Json& json) { return json.is_string() ? json.get<std::string>() : std::string(); }

// What a daemon says it cannot do ("problems" of its status: texts, or objects with "object" and "problem", or
// "subject" and "message"; those of pools are counted here).
// Bad documents, which every daemon reports, are told once.
void add_complaints(const DaemonState& daemon, std::vector<std::string>& problems) {
  auto list = daemon.status.is_object() ? daemon.status.find("problems") : daemon.status.end();
  if (list == daemon.status.end() || !list->is_array()) return;
  for (const auto& item : *list) {
    std::string text = text_of(item);
    if (item.is_object() && item.contains("object") && item.contains("problem"))
      text = text_of(item["object"]) + ": " + text_of(item["problem"]);
    if (item.is_object() && item.contains("subject") && item.contains("message") && !item.contains("pool"))
      text = text_of(item["subject"]) + ": " + text_of(item["message"]);
    bool known = std::any_of(problems.begin(), problems.end(),
                             [&](const auto& p) { return text.find(p) != text.npos || p.find(text) != p.npos; });
    if (!text.empty() && !known) problems.push_back("fairlead-" + daemon.name + ": " + text);
  }
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
  std::vector<std::pair<std::string, ipam::PoolUse>> pools;  // by network
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
  for (const auto& network : networks) {
    known.insert(network.name);
    for (auto& pool : read_pools(context, network)) counts.pools.emplace_back(network.name, pool);
  }
  for (const auto& [network, pool] : counts.pools)
    if (pool.nearly_full()) context.warnings.push_back(ipam::capacity_warning(network, pool));
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
  for (const auto& [network, pool] : counts.pools)
    if (pool.used() > 0) fields.emplace_back("addresses of " + network, sentence(pool));
  for (const auto& daemon : daemons)
    if (daemon.status.is_object() && daemon.status.contains("ipsec"))
      if (auto peers = ipsec_summary(daemon.status["ipsec"]); !peers.empty())
        fields.emplace_back("encrypted to", peers);
  fields.emplace_back("problems", problems.empty() ? "none" : std::to_string(problems.size()));
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
  for (const auto& daemon : daemons) add_complaints(daemon, problems);
  if (!context.json) return for_people(daemons, counts, problems);
  Json json{{"networks", counts.networks},
            {"routers", counts.routers},
            {"services", counts.services},
            {"endpoints", counts.endpoints},
            {"problems", problems}};
  json["pools"] = Json::array();
  for (const auto& [network, pool] : counts.pools) {
    Json entry = json_of(pool);
    entry["network"] = network;
    json["pools"].push_back(std::move(entry));
  }
  for (const auto& daemon : daemons)
    json["daemons"]["fairlead-" + daemon.name] = {
        {"running", daemon.state == "running"}, {"state", daemon.state}, {"status", daemon.status}};
  return json_text(json);
}

}  // namespace fairlead::ctl
