#include "cluster/control.h"

#include <sys/stat.h>

#include <cerrno>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/log.h"
#include "cluster/check.h"
#include "cluster/node_keys.h"
#include "cluster/preflight.h"

namespace fairlead::cluster {
namespace {

constexpr int kRequestMs = 2000, kManagerMs = 10000, kReachMs = 5000, kCheckMs = 20000;

std::string socket_path(const Paths& paths) { return paths.socket("cluster"); }

}  // namespace

Result<std::unique_ptr<Control>> Control::start(const Paths& paths, const Membership& self, Member& member) {
  FL_CHECK(make_folders(paths.run));
  FL_TRY(Fd listener, listen_on_path(socket_path(paths)));
  return std::unique_ptr<Control>(new Control(paths, self, member, std::move(listener)));
}

Control::Control(Paths paths, Membership self, Member& member, Fd listener)
    : paths_(std::move(paths)), self_(std::move(self)), member_(member), listener_(std::move(listener)) {
  thread_ = std::thread([this] { serve(); });
}

Control::~Control() {
  stop_.set();
  thread_.join();
  (void)remove_file(socket_path(paths_));
}

void Control::serve() {
  while (!stop_.is_set()) {
    std::string peer;
    auto socket = accept_from(listener_, peer, stop_);
    if (!socket) {
      if (socket.error().sys == ECANCELED || !stop_.sleep_ms(100)) return;
      continue;
    }
    Channel channel(plain_transport(std::move(*socket)), stop_);
    auto request = channel.receive(kMaxMessage, kRequestMs);
    if (!request || !*request) continue;
    auto reply = answer(**request);
    Json error = reply ? Json() : Json{{"error", reply.error().message}, {"errno", reply.error().sys}};
    (void)channel.send(reply ? *reply : error, kRequestMs);
  }
}

Result<Json> Control::answer(const Json& request) {
  const std::string op = text_at(request, "op");
  if (op == "status") return status();
  if (op == "submit") return submit(request);
  if (op == "leave") return leave(flag_at(request, "force"));
  if (op == "preflight") return preflight_all(paths_, self_, member_.client(), stop_);
  if (op == "check") return check(flag_at(request, "all"));
  if (op == "token" || op == "evict" || op == "rotate") return member_.client().ask(request, kManagerMs);
  if (op == "accept") {
    FL_CHECK(member_.accept());
    return Json::object();
  }
  if (op == "begin") {
    MemberStatus now = member_.status();
    if (now.state != "synced")
      return fail("the managers of the cluster are not reachable now (" + now.problem + "); try again later", EAGAIN);
    return Json{{"revision", now.revision}, {"role", self_.role}, {"name", self_.name}};
  }
  return fail("\"" + op + "\" is nothing the agent does", ENOSYS);
}

Result<Json> Control::submit(const Json& request) {
  FL_TRY(Json answer, member_.client().ask(request, kManagerMs));
  if (!member_.reach(number_at(answer, "revision"), kReachMs))
    return fail("it is stored in the cluster, but this node has not heard of it yet");
  return answer;
}

Result<Json> Control::status() {
  MemberStatus now = member_.status();
  Json json{{"cluster", self_.cluster},
            {"name", self_.name},
            {"role", self_.role},
            {"number", self_.number},
            {"address", to_text(self_.address)},
            {"state", now.state},
            {"manager", now.manager},
            {"revision", now.revision},
            {"documents", now.documents},
            {"problems", Json::array()}};
  if (!now.problem.empty()) json["problem"] = now.problem;
  for (const auto& [key, problem] : now.problems) json["problems"].push_back(problem);
  auto pem = load_secret(PkiPaths(paths_).own());
  auto info = pem ? inspect_certificate(*pem) : fail(pem.error());
  if (info) json["certificate"] = {{"from", info->not_before}, {"until", info->not_after}};
  // The fingerprint only, and of the public half.
  if (auto keys = load_public_keys(paths_); keys && *keys) json["sealKey"] = key_fingerprint((*keys)->seal);
  if (now.state != "synced") return json;
  auto cluster = member_.client().ask({{"op", "status"}}, kManagerMs);
  if (cluster) {
    json["store"] = text_at(*cluster, "store");
    if (cluster->contains("keys")) json["keys"] = (*cluster)["keys"];
    json["storeRevision"] = number_at(*cluster, "revision");
    json["members"] = cluster->value("members", Json::array());
    if (cluster->contains("exchange")) json["exchange"] = (*cluster)["exchange"];
  }
  return json;
}

Result<Json> Control::leave(bool force) {
  auto left = member_.client().ask({{"op", "leave"}}, kManagerMs);
  // Who is no member any more has left.
  if (!left && !force && left.error().sys != EKEYREVOKED) return fail(left.error());
  if (!left) log_warning("leaves the cluster without it: " + left.error().message);
  FL_CHECK(remove_file(membership_path(paths_)));  // the agent notices and does the rest
  return Json::object();
}

Result<Json> Control::check(bool all) {
  if (all) return member_.client().ask({{"op", "check"}}, kCheckMs);
  FL_TRY(auto result, check_directory(paths_, self_, member_.client(), stop_));
  return Json{{"nodes", {{self_.name, to_json(result)}}}};
}

Result<Json> ask_agent(const Paths& paths, const Json& request, int timeout_ms) {
  struct stat st {};
  if (::stat(socket_path(paths).c_str(), &st) != 0) return fail_errno("connect to", socket_path(paths));
  FL_TRY(Fd socket, connect_to_path(socket_path(paths)));
  StopSignal never;
  Channel channel(plain_transport(std::move(socket)), never);
  return channel.ask(request, timeout_ms);
}

}  // namespace fairlead::cluster
