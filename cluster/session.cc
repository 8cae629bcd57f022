#include "cluster/session.h"

#include <cerrno>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "cluster/encoding.h"
#include "cluster/join_hello.h"

namespace fairlead::cluster {
namespace {

constexpr int kSendMs = 10000, kIdleMs = 60000, kJoinMs = 10000;
constexpr int kHeartbeatMs = 1000, kCatchUpMs = 3000;
constexpr size_t kRequestBytes = 2 << 20, kFrameBytes = 512 << 10;
// How long after its end a certificate may still be renewed: a node that was off for longer has to join again.
constexpr int64_t kRenewableLives = 30;

Json refused(const Error& error) { return {{"error", error.message}, {"errno", error.sys}}; }

}  // namespace

Session::Session(FrontParts parts, Secured secured, std::string peer)
    : parts_(parts),
      secured_(std::move(secured)),
      peer_(std::move(peer)),
      channel_(std::move(secured_.transport), parts.stop) {}

void Session::run() {
  auto done = secured_.certificate ? serve_member() : serve_joiner();
  if (!done && done.error().sys != ECANCELED) log_debug(peer_ + ": " + done.error().message);
}

Result<void> Session::admitted() {
  if (who().cluster != parts_.self.cluster) return fail("this is another cluster", EKEYREVOKED);
  if (wall_seconds() >= secured_.certificate->not_after)
    return fail("the certificate of " + who().name + " has expired", EKEYEXPIRED);
  FL_TRY(bool member, parts_.registry.is_member(who()));
  if (!member) return fail(who().name + " is no longer a member of the cluster", EKEYREVOKED);
  return {};
}

Result<void> Session::may(Verb verb, const std::string& key) {
  auto no = refusal(who(), verb, key);
  if (!no) return {};
  log_warning("refused " + to_uri(who()) + " " +
              (verb == Verb::kRead    ? "read "
               : verb == Verb::kWrite ? "write "
                                      : "remove ") +
              key);
  return fail(*no, EACCES);
}

bool Session::visible(const std::string& key) const { return !refusal(who(), Verb::kRead, key); }

Result<Json> Session::answer(const Json& request) {
  const std::string op = text_at(request, "op");
  if (op == "renew") {
    const auto& certificate = *secured_.certificate;
    const int64_t life = certificate.not_after - certificate.not_before;
    if (wall_seconds() > certificate.not_after + kRenewableLives * life)
      return fail("the certificate expired too long ago; leave the cluster and join again", EKEYREVOKED);
    FL_TRY(bool member, parts_.registry.is_member(who()));
    if (!member) return fail(who().name + " is no longer a member of the cluster", EKEYREVOKED);
    return parts_.registry.renew(who(), text_at(request, "request"));
  }
  FL_CHECK(admitted());
  return answer_operation(op, request);
}

Result<Json> Session::answer_operation(const std::string& op, const Json& request) {
  if (op == "own") return own();
  if (op == "write") return write(request);
  if (op == "submit") return submit(request);
  if (op == "status") return status();
  if (op == "live") {
    FL_CHECK(may(Verb::kWrite, "live/" + who().name));
    FL_CHECK(parts_.registry.keep_alive(who()));
    auto settings = parse_json(parts_.feed.get("cluster/settings").value_or("{}"), "cluster/settings");
    return Json{{"revision", parts_.feed.revision()},
                {"lease", settings ? number_at(*settings, "leaseSeconds", 5) : 5}};
  }
  if (op == "token") {
    const std::string role = text_at(request, "role");
    FL_CHECK(may(Verb::kWrite, "tokens/" + role));
    FL_TRY(std::string token,
           parts_.registry.make_token(role, number_at(request, "seconds"), number_at(request, "uses")));
    log_info(who().name + " made a token for the role " + role);
    return Json{{"token", token}};
  }
  if (op == "evict" || op == "leave") {
    const std::string name = op == "leave" ? who().name : text_at(request, "name");
    FL_CHECK(may(Verb::kRemove, "members/" + name));
    FL_CHECK(parts_.registry.remove_member(name));
    log_info(name + " is no longer a member; " + who().name + " asked for it");
    return Json::object();
  }
  return fail("\"" + op + "\" is nothing a manager does", ENOSYS);
}

Result<void> Session::serve_member() {
  for (;;) {
    FL_TRY(auto request, channel_.receive(kRequestBytes, kIdleMs));
    if (!request) return {};
    if (text_at(*request, "op") == "follow") {
      auto followed = follow(*request);
      if (!followed && followed.error().sys != ECANCELED) (void)channel_.send(refused(followed.error()), kSendMs);
      return followed;
    }
    auto reply = answer(*request);
    FL_CHECK(channel_.send(reply ? *reply : refused(reply.error()), kSendMs));
  }
}

Result<void> Session::serve_joiner() {
  FL_TRY(Authority authority, load_authority(parts_.paths));
  FL_TRY(Json hello, make_hello(authority, parts_.self.cluster, secured_.binding, wall_seconds()));
  FL_CHECK(channel_.send(hello, kSendMs));
  FL_TRY(auto request, channel_.receive(kSmallMessage, kJoinMs));
  if (!request) return {};
  auto reply = text_at(*request, "op") == "join" ? parts_.registry.join(secured_.token, *request)
                                                 : fail("a token is for joining only", EACCES);
  std::string name = text_at(*request, "name");
  if (reply)
    log_info(name + " at " + peer_ + " has joined as " + text_at(*reply, "role"));
  else
    log_warning("refused that " + peer_ + " joins: " + reply.error().message);
  return channel_.send(reply ? *reply : refused(reply.error()), kSendMs);
}

// Everything this member may read, in frames of moderate size; then at which revision that was.
Result<void> Session::send_snapshot(int64_t& revision) {
  auto snapshot = parts_.feed.snapshot([&](const std::string& key) { return visible(key); });
  Json documents = Json::object();
  size_t bytes = 0;
  for (auto& [key, value] : snapshot.documents) {
    bytes += key.size() + value.size();
    documents[key] = std::move(value);
    if (bytes < kFrameBytes) continue;
    FL_CHECK(channel_.send({{"documents", std::move(documents)}}, kSendMs));
    documents = Json::object();
    bytes = 0;
  }
  revision = snapshot.revision;
  return channel_.send({{"documents", std::move(documents)}, {"complete", true}, {"revision", revision}}, kSendMs);
}

Result<void> Session::follow(const Json& request) {
  FL_CHECK(admitted());
  int64_t revision = number_at(request, "revision");
  const int64_t deadline = now_ms() + kCatchUpMs;
  while (revision > parts_.feed.revision() && now_ms() < deadline && !parts_.stop.is_set())
    parts_.feed.reach(revision, 100);
  if (revision > parts_.feed.revision())
    return fail("the store has gone back: it is at revision " + std::to_string(parts_.feed.revision()) + ", " +
                    std::to_string(revision) + " was seen before",
                ERANGE);
  if (revision == 0) FL_CHECK(send_snapshot(revision));
  for (;;) {
    auto step = parts_.feed.wait(revision, kHeartbeatMs);
    FL_CHECK(admitted());
    if (parts_.stop.is_set()) return fail("stopped", ECANCELED);
    if (step.lost) {
      FL_CHECK(send_snapshot(revision));
      continue;
    }
    FL_CHECK(send_events(step, revision));
  }
}

// In frames of moderate size. The follower has come to the new revision with the last of them only.
Result<void> Session::send_events(Feed::Step& step, int64_t& revision) {
  Json events = Json::array();
  size_t bytes = 0;
  for (auto& event : step.events) {
    if (!visible(event.key)) continue;
    bytes += event.key.size() + (event.value ? event.value->size() : 0);
    Json one{{"key", event.key}};
    if (event.value) one["value"] = std::move(*event.value);
    events.push_back(std::move(one));
    if (bytes < kFrameBytes) continue;
    FL_CHECK(channel_.send({{"events", std::move(events)}, {"revision", revision}}, kSendMs));
    events = Json::array();
    bytes = 0;
  }
  revision = step.revision;
  return channel_.send({{"events", std::move(events)}, {"revision", revision}}, kSendMs);
}

}  // namespace fairlead::cluster
