#include "agent/propose.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>

#include <nlohmann/json.hpp>

#include "cluster/channel.h"
#include "cluster/control.h"
#include "overlay/host_prefixes.h"
#include "state/store.h"

namespace fairlead::agent {
namespace {

constexpr int kAttempts = 20;
constexpr unsigned kPauseUs = 100000;

Result<Network> read_document(const std::string& document) {
  FL_TRY(Json json, parse_json(document, "network"));
  const bool chosen = json.is_object() && json.value("vni", Json(0)) == 0;
  if (chosen) json["vni"] = kMaxVni;  // a document has one; taken back below
  FL_TRY(Network network, decode_network(json, "network"));
  if (chosen) network.vni = 0;
  return network;
}

Result<void> submit(const Paths& paths, const Network& network) {
  FL_TRY(Json now, cluster::ask_agent(paths, {{"op", "begin"}}));
  FL_TRY(auto known, load_network(paths, network.name));
  if (known) return {};
  FL_TRY(auto taken, overlay::host_prefixes());
  SubnetChoice choice;
  for (const auto& t : taken) choice.taken.push_back(t.prefix);
  FL_TRY(Network planned, plan_network(paths, network, choice));
  FL_CHECK(cluster::ask_agent(paths, {{"op", "submit"},
                                      {"key", "networks/" + planned.name},
                                      {"value", encode(planned)},
                                      {"revision", cluster::number_at(now, "revision")}}));
  return {};
}

}  // namespace

Result<void> propose_network(const Paths& paths, const std::string& document) {
  std::signal(SIGPIPE, SIG_IGN);
  FL_TRY(Network network, read_document(document));
  for (int attempt = 1;; attempt++) {
    auto done = submit(paths, network);
    if (done) return {};
    const int reason = done.error().sys;
    if (reason == EAGAIN && attempt < kAttempts) {
      ::usleep(kPauseUs);
      continue;
    }
    const std::string what = "there is no network " + network.name + " in the cluster, and ";
    if (reason == EACCES)
      return fail(what + "this node may not make one; on a manager, or as operator: fairleadctl network create " +
                  network.name);
    if (reason == ENOENT || reason == ECONNREFUSED)
      return fail(what + "fairlead-agent, which speaks to the managers, is not running; start it");
    return fail(done.error().with(what + "it could not be made"));
  }
}

}  // namespace fairlead::agent
