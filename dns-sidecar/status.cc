// GET /metrics and GET /status. Called from the status server's thread; everything read here is immutable, atomic or
// locked.
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "dns-sidecar/server.h"

namespace fairlead::dns {
namespace {

constexpr size_t kMaxListedNames = 1000;  // per network; the counts are always whole

const char* const kRcodeNames[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"};

class Metrics {
 public:
  void add(const std::string& name, const char* type, const char* help) {
    text_ += "# HELP fairlead_dns_" + name + " " + help + "\n# TYPE fairlead_dns_" + name + " " + type + "\n";
    name_ = name;
  }
  void value(uint64_t v, const std::string& labels = "") {
    text_ += "fairlead_dns_" + name_ + labels + " " + std::to_string(v) + "\n";
  }
  void one(const std::string& name, const char* type, const char* help, uint64_t v) {
    add(name, type, help);
    value(v);
  }
  std::string text() && { return std::move(text_); }

 private:
  std::string text_, name_;
};

struct Totals {
  uint64_t udp = 0, tcp = 0, forwarded = 0, ignored = 0, lost = 0, accepted = 0, open = 0, evicted = 0, idle = 0;
  uint64_t rcodes[6] = {};
  explicit Totals(const std::vector<std::unique_ptr<Worker>>& workers) {
    for (const auto& worker : workers) {
      const auto& s = worker->stats();
      udp += s.udp_queries.get();
      tcp += s.tcp_queries.get();
      forwarded += s.forwarded.get();
      ignored += s.ignored.get();
      lost += s.lost.get();
      accepted += s.tcp_accepted.get();
      open += s.tcp_open.get();
      evicted += s.tcp_evicted.get();
      idle += s.tcp_idle.get();
      for (size_t i = 0; i < 6; i++) rcodes[i] += s.rcodes[i].get();
    }
  }
};

Json names_of(const Zone& zone) {
  Json names = Json::object();
  zone.names.each([&](const NameNode& node) {
    if (node.empty || names.size() >= kMaxListedNames) return;
    Json addresses = Json::array();
    for (size_t at = 0; at < node.a.size(); at += kARecordBytes)
      addresses.push_back(Address::from_bytes(AF_INET, node.a.data() + at + 12).to_string());
    for (size_t at = 0; at < node.aaaa.size(); at += kAaaaRecordBytes)
      addresses.push_back(Address::from_bytes(AF_INET6, node.aaaa.data() + at + 12).to_string());
    names[name_text(node.key)] = std::move(addresses);
  });
  return names;
}

}  // namespace

std::string Server::metrics() const {
  Metrics m;
  std::lock_guard lock(mutex_);
  Totals t(workers_);
  m.add("queries_total", "counter", "Queries received.");
  m.value(t.udp, "{transport=\"udp\"}");
  m.value(t.tcp, "{transport=\"tcp\"}");
  m.add("answers_total", "counter", "Answers given without asking a resolver, by response code.");
  for (size_t i = 0; i < 6; i++) m.value(t.rcodes[i], std::string("{rcode=\"") + kRcodeNames[i] + "\"}");
  m.one("forwarded_total", "counter", "Queries handed to the forwarder.", t.forwarded);
  m.one("ignored_total", "counter", "Messages that deserve no answer.", t.ignored);
  m.one("answers_lost_total", "counter", "Answers the kernel did not take.", t.lost);
  m.one("tcp_accepted_total", "counter", "TCP connections accepted.", t.accepted);
  m.one("tcp_open", "gauge", "TCP connections open.", t.open);
  m.one("tcp_evicted_total", "counter", "TCP connections closed to make room for others.", t.evicted);
  m.one("tcp_idle_total", "counter", "TCP connections closed for being idle.", t.idle);
  auto snapshot = cell_.get();
  size_t networks = 0, names = 0;
  for (const auto& zone : snapshot->zones) {
    networks += zone != nullptr;
    names += zone ? zone->names.size() : 0;
  }
  m.one("networks", "gauge", "Networks known.", networks);
  m.one("names", "gauge", "Names known.", names);
  m.one("snapshot_version", "counter", "How often the names were published.", snapshot->version);
  m.one("bad_documents", "gauge", "Documents of the state directory that could not be used.", problems_.size());
  if (!forwarder_) return std::move(m).text();
  auto report = forwarder_->report();
  m.one("upstream_requests_total", "counter", "Queries the forwarder took.", report.stats.requests);
  m.one("upstream_merged_total", "counter", "Queries that joined an equal one in flight.", report.stats.merged);
  m.one("upstream_sent_total", "counter", "Queries sent to resolvers.", report.stats.sent);
  m.one("upstream_answered_total", "counter", "Questions a resolver answered.", report.stats.answered);
  m.one("upstream_failed_total", "counter", "Questions no resolver answered usefully.", report.stats.failed);
  m.one("upstream_evicted_total", "counter", "Queries given up to make room for another client's.",
        report.stats.evicted);
  m.one("upstream_bogus_total", "counter", "Messages from resolvers that answered no question of ours.",
        report.stats.bogus);
  m.one("upstream_failure_cache_total", "counter", "Queries answered with a failure of a moment ago.",
        report.stats.from_failure_cache);
  m.one("upstream_in_flight", "gauge", "Questions out.", report.in_flight);
  m.one("upstream_waiting", "gauge", "Queries waiting for them.", report.waiting);
  m.one("upstreams_silent", "gauge", "Resolvers that did not answer when last asked.", report.silent.size());
  return std::move(m).text();
}

std::string Server::status() const {
  Json json;
  json["version"] = FAIRLEAD_VERSION;
  std::lock_guard lock(mutex_);
  auto snapshot = cell_.get();
  json["snapshot"] = snapshot->version;
  json["networks"] = Json::object();
  for (const auto& zone : snapshot->zones) {
    if (!zone) continue;
    Json& network = json["networks"][zone->name];
    network["internal"] = zone->internal;
    network["nameCount"] = zone->names.size();
    network["addressCount"] = zone->addresses.size();
    network["names"] = names_of(*zone);
    network["listening"] = Json::array();
  }
  if (routers_) {
    for (const auto& listening : routers_->status()) {
      Json& network = json["networks"][listening.network];
      network["netns"] = listening.netns;
      network["listening"] = listening.addresses;
      if (!listening.problem.empty()) network["problem"] = listening.problem;
    }
  }
  json["upstreams"] = Json::array();
  auto silent = forwarder_ ? forwarder_->report().silent : std::vector<ServerAddress>();
  for (const auto& server : upstreams_)
    json["upstreams"].push_back(
        {{"address", server.to_string()}, {"silent", std::find(silent.begin(), silent.end(), server) != silent.end()}});
  json["problems"] = Json::array();
  for (const auto& [path, message] : problems_) json["problems"].push_back(message);
  return dump_json(json, 2);
}

}  // namespace fairlead::dns
