#include "cluster/session.h"

#include <algorithm>
#include <cerrno>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "cluster/encoding.h"
#include "cluster/join_hello.h"
#include "cluster/preflight.h"

namespace fairlead::cluster {
namespace {

constexpr int kSendMs = 10000, kIdleMs = 60000, kJoinMs = 10000;
constexpr int kHeartbeatMs = 1000, kNotYetMs = 50, kCatchUpMs = 3000;
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
  if (auto rotation = rotation_of(parts_.feed); rotation && !rotation->trusts(secured_.certificate->issuer))
    return fail("the certificate of " + who().name + " is of an authority that is no longer trusted", EKEYEXPIRED);
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

bool Session::visible(const std::string& key) const {
  return in_scope(scope_, key) && !refusal(who(), Verb::kRead, key);
}

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
  if (op == "check") return check_all();
  if (op == "told") {
    FL_CHECK(may(Verb::kWrite, "live/" + who().name));
    parts_.calls.told(who(), text_at(request, "id"));
    return Json::object();
  }
  if (op == "claim") {
    FL_CHECK(may(Verb::kWrite, "blocks/" + text_at(request, "network") + "/" + who().name));
    return parts_.claims.claim(who(), request);
  }
  if (op == "live") {
    FL_CHECK(may(Verb::kWrite, "live/" + who().name));
    const int64_t now = wall_seconds();
    FL_CHECK(parts_.registry.keep_alive(who(), time_at(request, "time", now) - now));
    FL_CHECK(parts_.registry.note_certificate(*secured_.certificate));
    auto settings = parse_json(parts_.feed.get("cluster/settings").value_or("{}"), "cluster/settings");
    return Json{{"revision", parts_.feed.revision()},
                {"lease", settings ? number_at(*settings, "leaseSeconds", 5) : 5},
                {"time", wall_seconds()},
                {"manager", parts_.self.name}};
  }
  if (op == "clock") return Json{{"time", wall_seconds()}, {"manager", parts_.self.name}};
  if (op == "announce") {
    FL_CHECK(may(Verb::kWrite, "public-keys/" + who().name));
    return parts_.epochs.announce(who(), request);
  }
  if (op == "authority") return authority(text_at(request, "id"));
  if (op == "rotate") return rotate(request);
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

// To another manager.
Result<Json> Session::authority(const std::string& id) {
  FL_CHECK(may(Verb::kRead, "authority/key"));
  FL_TRY(Authority own, load_authority(parts_.paths));
  FL_TRY(std::string own_id, authority_id(own.certificate));
  if (id != own_id) return fail("this manager does not have the key of that authority yet", EAGAIN);
  return Json{{"key", own.key_alone() + own.certificate}};
}

Result<Json> Session::rotate(const Json& request) {
  const std::string what = text_at(request, "what");
  if (what == "ca") {
    FL_CHECK(may(Verb::kWrite, "authority/key"));
    FL_CHECK(flag_at(request, "finish") ? parts_.registry.finish_rotation(true) : parts_.registry.start_rotation());
    log_info("cluster: " + who().name + " exchanges the authority");
    return Json::object();
  }
  if (what != "keys") return fail("\"" + what + "\" is nothing that can be rotated", EINVAL);
  FL_CHECK(may(Verb::kWrite, "keys/epochs"));
  FL_TRY(std::string id, parts_.epochs.rotate(who().name + " asked for it"));
  return Json{{"epoch", id}};
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
    if (text_at(*request, "op") == "read") {
      auto done = read();
      if (!done) FL_CHECK(channel_.send(refused(done.error()), kSendMs));
      continue;
    }
    if (text_at(*request, "op") == "preflight") {
      auto done = preflight(*request);
      if (!done) FL_CHECK(channel_.send(refused(done.error()), kSendMs));
      return done;
    }
    auto reply = answer(*request);
    FL_CHECK(channel_.send(reply ? *reply : refused(reply.error()), kSendMs));
  }
}

// To the address this member speaks from, whatever its document says.
Result<void> Session::preflight(const Json& request) {
  FL_CHECK(admitted());
  FL_CHECK(may(Verb::kWrite, "live/" + who().name));
  std::unique_lock lock(parts_.preflight, std::try_to_lock);
  if (!lock) return fail("the manager is busy with another node's preflight; try again", EAGAIN);
  FL_TRY(Address peer, Address::parse(peer_));
  FL_TRY(PreflightPorts ports, preflight_ports(parts_.paths, parts_.self.name));
  const PreflightEnd end{parts_.self.name, parts_.self.address.address, peer, std::move(ports)};
  return answer_preflight(channel_, end, request, parts_.stop);
}

Result<void> Session::serve_joiner() {
  FL_TRY(Authority authority, parts_.registry.authority_of_token(secured_.token));
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
  scope_ = scope_of(parts_.feed, who());
  auto snapshot = parts_.feed.snapshot([&](const std::string& key) { return visible(key); });
  revision = snapshot.revision;
  return send_documents(std::move(snapshot));
}

Result<void> Session::send_documents(Feed::Snapshot snapshot) {
  Json last{{"complete", true}, {"revision", snapshot.revision}};
  put_scope(last, scope_);
  return send_framed("documents", std::move(snapshot.documents), std::move(last));
}

// Documents in frames of moderate size as the field `name`; what else is said stands in the last one.
Result<void> Session::send_framed(const char* name, Feed::Documents documents, Json last) {
  Json part = Json::object();
  size_t bytes = 0;
  for (auto& [key, value] : documents) {
    bytes += key.size() + value.size();
    part[key] = std::move(value);
    if (bytes < kFrameBytes) continue;
    FL_CHECK(channel_.send({{name, std::move(part)}}, kSendMs));
    part = Json::object();
    bytes = 0;
  }
  last[name] = std::move(part);
  return channel_.send(last, kSendMs);
}

// The store must be at least what this member has seen of it. What we have heard of it may be behind.
Result<void> Session::compare_seen(int64_t seen) {
  if (parts_.feed.revision() >= seen) return {};
  FL_TRY(auto now, parts_.etcd.range({store_key("cluster/settings"), "", 1, 0}));
  const int64_t deadline = now_ms() + kCatchUpMs;
  while (now.revision >= seen && now_ms() < deadline && !parts_.stop.is_set())
    if (parts_.feed.reach(seen, 100)) return {};
  if (now.revision < seen && takes_part(who().role)) FL_CHECK(parts_.calls.note_restored());
  return fail("the store has gone back: it is at revision " + std::to_string(now.revision) + ", " +
                  std::to_string(seen) + " was seen before",
              now.revision < seen ? ERANGE : EAGAIN);
}

Result<void> Session::follow(const Json& request) {
  FL_CHECK(admitted());
  int64_t revision = number_at(request, "revision");
  FL_CHECK(compare_seen(std::max(revision, number_at(request, "seen"))));
  scope_ = scope_at(request);
  // What it knows may be of another past, which has come to that revision by other changes.
  const std::string lineage = parts_.calls.lineage();
  auto theirs = parse_json(text_at(request, "lineage"), "lineage");
  if (lineage.empty() || !theirs || !theirs->is_object() || text_at(*theirs, "id") != lineage) revision = 0;
  if (revision == 0) FL_CHECK(send_snapshot(revision));
  bool look = true;  // whether what the follower takes part in may have changed
  for (;;) {
    Scope wanted = look ? scope_of(parts_.feed, who()) : scope_;
    // After another scope once more: it was of a moment before what was sent with it.
    look = wanted != scope_;
    if (look) FL_CHECK(send_scope(std::move(wanted), revision));
    auto step = parts_.feed.wait(revision, look ? 0 : kHeartbeatMs);
    FL_CHECK(admitted());
    if (parts_.stop.is_set()) return fail("stopped", ECANCELED);
    // Nobody goes by a store that may be an older one before hearing that the roll is called.
    if (!parts_.calls.announced() && parts_.stop.sleep_ms(kNotYetMs)) continue;
    if (step.lost) {
      FL_CHECK(send_snapshot(revision));
      look = true;
      continue;
    }
    for (const auto& event : step.events) look = look || changes_scope(scope_, event, who().name);
    revision = step.revision;
    FL_CHECK(send_events(step.events, revision, [&](const std::string& key) { return visible(key); }));
  }
}

// In frames of moderate size. The follower has come to the revision with the last of them only.
Result<void> Session::send_events(std::vector<EtcdEvent>& events, int64_t revision, const Feed::Wanted& wanted) {
  Json part = Json::array();
  size_t bytes = 0;
  for (auto& event : events) {
    if (!wanted(event.key)) continue;
    bytes += event.key.size() + (event.value ? event.value->size() : 0);
    Json one{{"key", event.key}};
    if (event.value) one["value"] = std::move(*event.value);
    part.push_back(std::move(one));
    if (bytes < kFrameBytes) continue;
    FL_CHECK(channel_.send({{"events", std::move(part)}}, kSendMs));
    part = Json::array();
    bytes = 0;
  }
  return channel_.send({{"events", std::move(part)}, {"revision", revision}}, kSendMs);
}

// The follower takes part in other networks now. It is given the documents of the new ones as they are at one moment,
// and what has happened to all others until then; it forgets those of networks that are no longer named.
Result<void> Session::send_scope(Scope wanted, int64_t& revision) {
  const Scope before = std::move(scope_);
  scope_ = std::move(wanted);
  auto is_new = [&](const std::string& key) { return visible(key) && !in_scope(before, key); };
  Feed::Documents added;
  auto step = parts_.feed.catch_up(revision, is_new, added);
  if (step.lost) return send_snapshot(revision);
  FL_CHECK(send_events(step.events, revision,
                       [&](const std::string& key) { return visible(key) && in_scope(before, key); }));
  revision = step.revision;
  Json last{{"revision", revision}};
  put_scope(last, scope_);
  return send_framed("added", std::move(added), std::move(last));
}

}  // namespace fairlead::cluster
