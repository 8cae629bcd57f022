#include "cluster/etcd_client.h"

#include <httplib.h>

#include <cerrno>

#include <nlohmann/json.hpp>

#include "cluster/channel.h"

namespace fairlead::cluster {
namespace {

constexpr int kTimeoutSeconds = 3;
// etcd says something every 5 seconds (--experimental-watch-progress-notify-interval).
constexpr int kWatchSilenceSeconds = 15;
constexpr int64_t kPage = 500;
constexpr size_t kMaxAnswer = 64 << 20;

void prepare(httplib::Client& client, int read_seconds) {
  client.set_address_family(AF_UNIX);
  client.set_tcp_nodelay(false);
  client.set_connection_timeout(kTimeoutSeconds);
  client.set_read_timeout(read_seconds);
  client.set_write_timeout(kTimeoutSeconds);
}

httplib::Request request_to(const std::string& path, const Json& body) {
  httplib::Request request;
  request.method = "POST";
  request.path = path;
  request.body = dump_json(body);
  // Go's server refuses the library's own Host, which would be the path of the socket.
  request.headers = {{"Host", "localhost"}, {"Content-Type", "application/json"}};
  return request;
}

tl::unexpected<Error> fail_call(const std::string& path, httplib::Error error) {
  bool late = error == httplib::Error::Read || error == httplib::Error::ConnectionTimeout;
  return fail("etcd does not answer " + path + ": " + httplib::to_string(error), late ? ETIMEDOUT : ECONNREFUSED);
}

Result<Json> check_answer(const std::string& path, int status, const std::string& body) {
  FL_TRY(Json json, parse_json(body, "etcd's answer to " + path, {kMaxAnswer, 16}));
  if (!json.is_object()) return fail("etcd's answer to " + path + " is no object", EBADMSG);
  if (status == 200) return json;
  const int64_t code = number_at(json, "code");
  constexpr int64_t kOutOfRange = 11, kUnavailable = 14;
  int sys = code == kOutOfRange ? ERANGE : code == kUnavailable ? ETIMEDOUT : EPROTO;
  return fail("etcd refuses " + path + ": " + text_at(json, "error"), sys);
}

}  // namespace

Result<Json> EtcdClient::post(const std::string& path, const Json& body) const {
  httplib::Client client(path_);
  prepare(client, kTimeoutSeconds);
  httplib::Request request = request_to(path, body);
  // The gateway ends what it refuses with a trailer, which the library takes for a broken answer: the status and the
  // text before it are what counts. A text that is cut off does not parse.
  int status = 0;
  std::string text;
  request.response_handler = [&](const httplib::Response& head) { return (status = head.status) != 0; };
  request.content_receiver = [&](const char* data, size_t size, uint64_t, uint64_t) {
    text.append(data, size);
    return text.size() <= kMaxAnswer;
  };
  httplib::Response response;
  httplib::Error error = httplib::Error::Success;
  const bool whole = client.send(request, response, error);
  if (!whole && (status == 0 || status == 200 || text.empty())) return fail_call(path, error);
  return check_answer(path, status, text);
}

Result<EtcdRangeAnswer> EtcdClient::range(EtcdRange what) const {
  EtcdRangeAnswer all;
  const int64_t limit = what.limit;
  if (!limit) what.limit = kPage;
  for (;;) {
    FL_TRY(Json json, post("/v3/kv/range", encode(what)));
    FL_TRY(EtcdRangeAnswer page, decode_range(json));
    if (!what.revision) what.revision = all.revision = page.revision;  // later pages are of the first one's moment
    for (auto& document : page.documents) all.documents.push_back(std::move(document));
    all.more = page.more;
    if (!page.more || page.documents.empty() || limit) return all;
    what.key = all.documents.back().key + '\0';
  }
}

Result<std::optional<EtcdDocument>> EtcdClient::get(const std::string& key) const {
  FL_TRY(auto answer, range({key, "", 1, 0}));
  if (answer.documents.empty()) return std::nullopt;
  return std::optional<EtcdDocument>(std::move(answer.documents.front()));
}

Result<EtcdClient::Applied> EtcdClient::apply(const std::vector<EtcdCompare>& compares,
                                              const std::vector<EtcdChange>& changes) const {
  FL_TRY(Json json, post("/v3/kv/txn", encode(compares, changes)));
  return Applied{flag_at(json, "succeeded"), header_revision(json)};
}

Result<bool> EtcdClient::grant_lease(int64_t lease, int64_t seconds) const {
  auto json = post("/v3/lease/grant", {{"ID", std::to_string(lease)}, {"TTL", std::to_string(seconds)}});
  if (json) return true;
  if (json.error().message.find("already exists") != std::string::npos) return false;
  return fail(json.error());
}

Result<bool> EtcdClient::keep_lease(int64_t lease) const {
  FL_TRY(Json json, post("/v3/lease/keepalive", {{"ID", std::to_string(lease)}}));
  auto result = json.find("result");
  return result != json.end() && result->is_object() && long_at(*result, "TTL") > 0;
}

Result<void> EtcdClient::watch(const EtcdRange& what, int64_t start_revision,
                               const std::function<bool(const EtcdWatchLine&)>& line, const StopSignal& stop) const {
  httplib::Client client(path_);
  prepare(client, kWatchSilenceSeconds);
  // One create_request a request: of several in one body some are lost (the gateway reads it in pieces).
  httplib::Request request = request_to("/v3/watch", encode_watch(what, start_revision));
  std::string pending;
  Result<void> outcome;
  request.content_receiver = [&](const char* data, size_t size, uint64_t, uint64_t) {
    if (stop.is_set()) return false;
    pending.append(data, size);
    if (pending.size() > kMaxAnswer) return false;
    for (size_t end; (end = pending.find('\n')) != pending.npos; pending.erase(0, end + 1)) {
      auto decoded = decode_watch_line(std::string_view(pending).substr(0, end));
      if (!decoded) outcome = fail(decoded.error());
      if (!decoded || !line(*decoded)) return false;
    }
    return true;
  };
  httplib::Response response;
  httplib::Error error = httplib::Error::Success;
  bool ended = client.send(request, response, error);
  if (stop.is_set()) return fail("stopped", ECANCELED);
  FL_CHECK(outcome);
  if (!ended && error != httplib::Error::Canceled) return fail_call("/v3/watch", error);
  return {};
}

Result<std::vector<EtcdMember>> EtcdClient::members() const {
  FL_TRY(Json json, post("/v3/cluster/member/list", Json::object()));
  return decode_members(json);
}

Result<std::vector<EtcdMember>> EtcdClient::add_learner(const std::string& peer_url) const {
  FL_TRY(Json json, post("/v3/cluster/member/add", {{"peerURLs", {peer_url}}, {"isLearner", true}}));
  return decode_members(json);
}

Result<void> EtcdClient::promote(const std::string& member) const {
  FL_CHECK(post("/v3/cluster/member/promote", {{"ID", member}}));
  return {};
}

Result<void> EtcdClient::remove_member(const std::string& member) const {
  FL_CHECK(post("/v3/cluster/member/remove", {{"ID", member}}));
  return {};
}

}  // namespace fairlead::cluster
