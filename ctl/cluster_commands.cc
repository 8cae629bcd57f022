#include "ctl/cluster_commands.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <ctime>

#include <nlohmann/json.hpp>

#include "base/daemon.h"
#include "base/file.h"
#include "base/names.h"
#include "cluster/channel.h"
#include "cluster/clock_skew.h"
#include "cluster/control.h"
#include "cluster/enrol.h"
#include "cluster/key_documents.h"
#include "cluster/roles.h"
#include "ctl/documents.h"
#include "ctl/preflight_text.h"
#include "ctl/table.h"

namespace fairlead::ctl {
namespace {

constexpr int64_t kReadyMs = 20000;
constexpr int kPreflightMs = 60000;
constexpr size_t kTokenBytes = 4096;
constexpr const char* kNotMember =
    "this node is in no cluster; make one with: fairleadctl cluster init, or join one with: fairleadctl cluster join";

// Seconds of "10s", "15m", "24h", "90d".
Result<int64_t> parse_seconds(const std::string& option, const std::string& text, int64_t min, int64_t max) {
  int64_t value = 0;
  auto last = text.data() + text.size();
  auto [end, ec] = std::from_chars(text.data(), last, value);
  std::string_view unit(end, static_cast<size_t>(last - end));
  const int64_t factor = unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : unit == "d" ? 86400 : 0;
  if (ec != std::errc() || factor == 0 || value < 1 || value > max || value * factor < min || value * factor > max)
    return fail(option + " " + text + ": expected a time like 10s, 15m, 24h or 90d, from " + std::to_string(min) +
                "s to " + std::to_string(max / 86400 ? max / 86400 : max) + (max / 86400 ? "d" : "s"));
  return value * factor;
}

// The host's own name up to the first point, when none is given.
Result<std::string> node_name(const std::string& given) {
  if (!given.empty()) {
    FL_CHECK(check_object_name("node name", given));
    return given;
  }
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) != 0) return fail_errno("read", "host name");
  std::string name = host;
  name = name.substr(0, name.find('.'));
  for (auto& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (!is_object_name(name))
    return fail("the host name \"" + name + "\" cannot be a node's name; choose one with --name");
  return name;
}

// Waits until fairlead-agent has taken part; says what to do when it does not run.
std::string agent_says(const Context& context) {
  struct stat st {};
  if (::stat(context.paths.socket("agent").c_str(), &st) != 0) return "; now start fairlead-agent";
  std::string problem = "fairlead-agent has not noticed yet";
  for (const int64_t deadline = cluster::now_ms() + kReadyMs; cluster::now_ms() < deadline; ::usleep(50000)) {
    auto status = cluster::ask_agent(context.paths, {{"op", "status"}});
    if (!status) continue;
    if (cluster::text_at(*status, "state") == "synced") return "";
    problem = cluster::text_at(*status, "problem");
  }
  return "; fairlead-agent is still at work: " + problem;
}

Result<Json> ask(const Context& context, const Json& request, int timeout_ms = 20000) {
  std::signal(SIGPIPE, SIG_IGN);
  FL_TRY(auto member, cluster::load_membership(context.paths));
  if (!member) return fail(kNotMember);
  auto answer = cluster::ask_agent(context.paths, request, timeout_ms);
  if (!answer && (answer.error().sys == ENOENT || answer.error().sys == ECONNREFUSED))
    return fail("fairlead-agent is not running; start it");
  return answer;
}

Result<std::string> read_token(const std::string& file) {
  if (file == "-") return read_all(STDIN_FILENO, kTokenBytes, "the token on stdin");
  FL_TRY(auto text, read_file(file, kTokenBytes));
  if (!text) return fail(file + ": there is no such file");
  return *text;
}

// What is missing ends nothing: the node has joined, and what does not need it works.
Output describe(const Context& context, const cluster::Membership& m, const std::string& done, bool preflight) {
  const std::string more = agent_says(context);
  Json answer{
      {"cluster", m.cluster}, {"name", m.name}, {"role", m.role}, {"number", m.number}, {"ready", more.empty()}};
  std::string text = "node " + m.name + done + " cluster " + m.cluster + " as " + m.role + more + "\n";
  if (preflight && more.empty() && cluster::takes_part(m.role)) {
    auto found = ask(context, {{"op", "preflight"}}, kPreflightMs);
    answer["preflight"] = found ? *found : Json{{"good", false}, {"problem", found.error().message}};
    text +=
        found ? preflight_text(*found, m.name) : "what nodes send could not be tried: " + found.error().message + "\n";
  }
  return context.json ? json_text(answer) : text;
}

std::string time_text(int64_t seconds) {
  char text[32];
  time_t time = static_cast<time_t>(seconds);
  tm parts{};
  gmtime_r(&time, &parts);
  strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
  return text;
}

std::string age_text(int64_t seconds) {
  for (auto [unit, size] : {std::pair{"d", 86400}, {"h", 3600}, {"m", 60}})
    if (seconds >= 2 * size) return std::to_string(seconds / size) + unit;
  return std::to_string(std::max<int64_t>(seconds, 0)) + "s";
}

// The newest epoch, its age, and which nodes are not there yet.
std::string keys_for_people(const Json& status) {
  const Json none = Json::object();
  const Json& keys = status.contains("keys") ? status["keys"] : none;
  std::string text;
  if (status.contains("sealKey")) text += list({{"seal key", cluster::text_at(status, "sealKey")}});
  if (!keys.is_object() || !keys.contains("epochs") || keys["epochs"].empty()) return text;
  const Json& newest = keys["epochs"][0];
  text += list({{"epoch", cluster::text_at(newest, "id") + ", " +
                              age_text(::time(nullptr) - cluster::number_at(newest, "created")) +
                              " old; a new one every " + age_text(cluster::number_at(keys, "interval"))}});
  const Json nodes = keys.value("nodes", Json::object());
  for (const auto& [name, problem] : nodes.items())
    if (problem.is_string() && !problem.get<std::string>().empty())
      text += "  keys: " + name + " " + problem.get<std::string>() + "\n";
  return text;
}

std::string clocks_for_people(const Json& status) {
  std::string text;
  for (const auto& member : status.value("members", Json::array()))
    if (int64_t ahead = cluster::number_at(member, "clockAhead"))
      text += "  clock: " + cluster::text_at(member, "name") + "'s is " + cluster::skew_text(ahead) +
              " that of the manager it is connected to\n";
  return text;
}

std::string for_people(const Json& status) {
  using cluster::number_at;
  using cluster::text_at;
  std::vector<std::pair<std::string, std::string>> fields{
      {"cluster", text_at(status, "cluster")},
      {"node", text_at(status, "name") + " (" + text_at(status, "role") + ", number " +
                   std::to_string(number_at(status, "number")) + ")"},
      {"state", text_at(status, "state")},
      {"manager", text_at(status, "manager")},
      {"revision", std::to_string(number_at(status, "revision")) + " of " +
                       std::to_string(number_at(status, "storeRevision", number_at(status, "revision")))},
      {"documents", std::to_string(number_at(status, "documents"))}};
  if (status.contains("problem")) fields.emplace_back("problem", text_at(status, "problem"));
  if (status.contains("store")) fields.emplace_back("store", text_at(status, "store"));
  if (status.contains("certificate"))
    fields.emplace_back("certificate", "until " + time_text(number_at(status["certificate"], "until")));
  if (status.contains("exchange")) {
    std::string waiting;
    for (const auto& name : status["exchange"].value("waiting", Json::array()))
      if (name.is_string()) waiting += " " + name.get<std::string>();
    fields.emplace_back("authority", "is being exchanged since " + time_text(number_at(status["exchange"], "since")) +
                                         (waiting.empty() ? "" : "; without a new certificate:" + waiting));
  }
  std::string text = list(fields) + keys_for_people(status) + clocks_for_people(status);
  for (const auto& problem : status.value("problems", Json::array()))
    if (problem.is_string()) text += "  " + problem.get<std::string>() + "\n";
  std::vector<std::vector<std::string>> rows;
  for (const auto& member : status.value("members", Json::array()))
    rows.push_back({text_at(member, "name"), text_at(member, "role"), std::to_string(number_at(member, "number")),
                    text_at(member, "address"), cluster::flag_at(member, "live") ? "yes" : "no"});
  return rows.empty() ? text : text + "\n" + table({"MEMBER", "ROLE", "NUMBER", "ADDRESS", "LIVE"}, rows);
}

}  // namespace

Output cluster_init(Context& context, const ClusterArguments& a) {
  cluster::InitOptions options;
  FL_TRY(options.name, node_name(a.name));
  FL_TRY(options.address, cluster::parse_host_port(a.advertise));
  FL_TRY(options.certificate_seconds, parse_seconds("--certificate-life", a.certificate_life, 5, 3650 * 86400));
  FL_TRY(options.lease_seconds, parse_seconds("--lease", a.lease, 2, 3600));
  FL_TRY(options.key_seconds,
         parse_seconds("--key-interval", a.key_interval, cluster::kMinKeyInterval, cluster::kMaxKeyInterval));
  FL_TRY(options.block_grace_seconds, parse_seconds("--block-grace", a.block_grace, 1, int64_t{30} * 86400));
  FL_TRY(auto member, cluster::found_cluster(context.paths, options));
  return describe(context, member, " has founded", false);
}

Output cluster_token(Context& context, const ClusterArguments& a) {
  FL_TRY(int64_t seconds, parse_seconds("--expires", a.expires, 1, 366 * 86400));
  FL_TRY(Json answer, ask(context, {{"op", "token"}, {"role", a.role}, {"seconds", seconds}, {"uses", a.uses}}));
  if (context.json) return json_text(answer);
  return cluster::text_at(answer, "token") + "\n";
}

Output cluster_join(Context& context, const ClusterArguments& a) {
  std::signal(SIGPIPE, SIG_IGN);
  cluster::JoinOptions options;
  FL_TRY(options.name, node_name(a.name));
  FL_TRY(options.manager, cluster::parse_host_port(a.manager));
  if (!a.advertise.empty()) {
    FL_TRY(options.address, cluster::parse_host_port(a.advertise));
  }
  FL_TRY(std::string text, read_token(a.token_file));
  FL_TRY(cluster::Token token, cluster::parse_token(text));
  FL_TRY(auto member, cluster::join_cluster(context.paths, token, options));
  return describe(context, member, " has joined", true);
}

Output cluster_leave(Context& context, const ClusterArguments& a) {
  FL_TRY(auto member, cluster::load_membership(context.paths));
  if (!member) return fail(kNotMember);
  auto left = ask(context, {{"op", "leave"}, {"force", a.force}});
  if (!left && !a.force) return fail(left.error());
  if (!left) FL_CHECK(cluster::forget_membership(context.paths));  // without an agent
  // The agent puts away what is left; a join right after this one must not meet it.
  for (int i = 0; i < 200 && left; i++, ::usleep(50000)) {
    struct stat st {};
    const std::string certificates = cluster::PkiPaths(context.paths).folder;
    if (::stat(context.paths.socket("cluster").c_str(), &st) != 0 && ::stat(certificates.c_str(), &st) != 0) break;
  }
  return context.json ? "" : "node " + member->name + " has left cluster " + member->cluster + "\n";
}

Output cluster_evict(Context& context, const ClusterArguments& a) {
  FL_CHECK(check_object_name("member", a.member));
  FL_CHECK(ask(context, {{"op", "evict"}, {"name", a.member}}));
  return context.json ? "" : a.member + " is no longer a member of the cluster\n";
}

Output cluster_accept(Context& context) {
  FL_CHECK(ask(context, {{"op", "accept"}}));
  return context.json ? "" : "the store is taken as it is now\n";
}

Output cluster_rotate(Context& context, const ClusterArguments& a) {
  FL_TRY(Json answer, ask(context, {{"op", "rotate"}, {"what", a.what}, {"finish", a.finish}}));
  if (context.json) return json_text(answer);
  if (a.what == "keys")
    return "epoch " + cluster::text_at(answer, "epoch") +
           " is made; nodes use it as soon as both sides of a pair can\n";
  return a.finish ? "the old authority is no longer trusted\n"
                  : "a new authority is made; members get certificates of it by themselves (cluster status tells)\n";
}

Output cluster_check(Context& context, const ClusterArguments& a) {
  FL_TRY(auto member, cluster::load_membership(context.paths));
  const bool all = member && member->is_manager() && !a.local;
  FL_TRY(Json answer, ask(context, {{"op", "check"}, {"all", all}}));
  std::string text;
  const Json nodes = answer.value("nodes", Json::object());
  for (const auto& [name, said] : nodes.items()) {
    if (!said.is_object()) continue;
    const bool good = cluster::flag_at(said, "inStep");
    context.failed = context.failed || !good;
    text += name + (good ? ": in step at revision " + std::to_string(cluster::number_at(said, "revision")) + ", " +
                               std::to_string(cluster::number_at(said, "documents")) + " documents\n"
                         : ": not in step\n");
    if (said.contains("problem")) text += "  " + cluster::text_at(said, "problem") + "\n";
    const Json differences = said.value("differences", Json::object());
    for (const auto& [key, what] : differences.items())
      text += "  " + key + (what.is_string() ? ": " + what.get<std::string>() : "") + "\n";
  }
  answer["inStep"] = !context.failed;
  return context.json ? json_text(answer) : text;
}

Output cluster_preflight(Context& context) {
  FL_TRY(Json found, ask(context, {{"op", "preflight"}}, kPreflightMs));
  FL_TRY(auto member, cluster::load_membership(context.paths));
  context.failed = !cluster::flag_at(found, "good");
  return context.json ? json_text(found) : preflight_text(found, member ? member->name : "this node");
}

Output cluster_status(Context& context) {
  FL_TRY(Json status, ask(context, {{"op", "status"}}));
  return context.json ? json_text(status) : for_people(status);
}

}  // namespace fairlead::ctl
