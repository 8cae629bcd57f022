#include "cluster/member.h"

#include <cerrno>
#include <random>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/log.h"
#include "cluster/check.h"
#include "cluster/member_documents.h"
#include "cluster/roles.h"
#include "cluster/roll_call.h"
#include "cluster/rotation.h"
#include "cluster/seen_revision.h"

namespace fairlead::cluster {
namespace {

constexpr int kSilenceMs = 6000, kAskMs = 10000, kCheckPauseMs = 200;
constexpr int kRetryMs = 200, kMaxRetryMs = 2000;
constexpr int64_t kCompareMs = 600000, kSaveMs = 5000, kClocksMs = 15000;

void take_documents(const Json& message, const char* field, Feed::Documents& documents) {
  auto part = message.find(field);
  if (part == message.end() || !part->is_object()) return;
  for (const auto& [key, value] : part->items())
    if (value.is_string()) documents[key] = value.get<std::string>();
}

// Ten minutes, a quarter more or less, so that not all nodes ask at once.
int64_t next_compare() {
  static thread_local std::mt19937_64 random{std::random_device{}()};
  return now_ms() + std::uniform_int_distribution<int64_t>(kCompareMs * 3 / 4, kCompareMs * 5 / 4)(random);
}

}  // namespace

Member::Member(Paths paths, Membership self, std::function<void()> renewed)
    : paths_(std::move(paths)),
      self_(std::move(self)),
      renewed_(std::move(renewed)),
      client_(paths_, self_, stop_),
      mirror_(paths_, self_.cluster, self_.name),
      saved_(load_seen_revision(paths_, self_.cluster)) {
  load_remote();
  follower_ = std::thread([this] { follow(); });
  publisher_ = std::thread([this] { publish(); });
  checker_ = std::thread([this] { answer_checks(); });
}

void Member::stop() {
  stop_.set();
  for (std::thread* thread : {&follower_, &publisher_, &checker_})
    if (thread->joinable()) thread->join();
  // After a clean end the next start knows exactly how far the store had come.
  if (status_.state == "synced" && status_.revision > saved_)
    (void)save_seen_revision(paths_, self_.cluster, saved_ = status_.revision);
}

MemberStatus Member::status() const {
  std::lock_guard lock(mutex_);
  MemberStatus status = status_;
  status.problems.insert(troubles_.begin(), troubles_.end());
  return status;
}

void Member::set_trouble(const std::string& key, const std::string& text) {
  std::lock_guard lock(mutex_);
  std::string& known = troubles_[key];
  if (known != text && !text.empty()) log_warning(text);
  known = text;
  if (text.empty()) troubles_.erase(key);
}

bool Member::reach(int64_t revision, int ms) const {
  std::unique_lock lock(mutex_);
  return moved_.wait_for(lock, std::chrono::milliseconds(ms), [&] { return status_.revision >= revision; });
}

Result<void> Member::accept() {
  std::lock_guard lock(mutex_);
  if (status_.state != "held") return fail("the managers' store has not gone back; there is nothing to accept");
  status_.state = "connecting";
  status_.revision = saved_ = 0;
  return save_seen_revision(paths_, self_.cluster, 0);
}

// The follower's thread.
void Member::follow() {
  int wait = kRetryMs;
  do {
    auto done = follow_once();
    if (done) wait = kRetryMs;
    if (done || done.error().sys == ECANCELED) continue;
    fault(done.error());
    wait = std::min(wait * 2, kMaxRetryMs);
  } while (stop_.sleep_ms(wait));
}

void Member::fault(const Error& error) {
  std::string state = error.sys == EKEYREVOKED ? "evicted" : error.sys == ERANGE ? "held" : "away";
  bool news = false;
  {
    std::lock_guard lock(mutex_);
    news = status_.state != state;
    status_.state = state;
    status_.problem = error.message;
  }
  if (news)
    log_warning("cluster: " + error.message +
                (state == "held" ? "; nothing is changed until: fairleadctl cluster accept" : ""));
}

void Member::note(int64_t revision) {
  bool news = false, save = false;
  {
    std::lock_guard lock(mutex_);
    news = status_.state != "synced";
    status_.state = "synced";
    status_.problem.clear();
    status_.revision = revision;
    status_.documents = mirror_.documents().size();
    status_.problems = mirror_.problems();
    auto wanted = mirror_.documents().find("check/wanted");
    if (wanted != mirror_.documents().end()) check_wanted_ = wanted->second;
    auto authority = mirror_.documents().find(kAuthorityKey);
    authority_ = authority == mirror_.documents().end() ? "" : authority->second;
    save = revision > saved_ && now_ms() >= saved_ms_ + kSaveMs;
    if (save) {
      saved_ = revision;
      saved_ms_ = now_ms();
    }
  }
  moved_.notify_all();
  save_remote();
  if (news) log_info("cluster: in step with the managers at revision " + std::to_string(revision));
  if (!save) return;
  if (auto saved = save_seen_revision(paths_, self_.cluster, revision); !saved) log_warning(saved.error().message);
}

void Member::note_managers() {
  std::vector<HostPort> managers;
  for (auto it = mirror_.documents().lower_bound("nodes/"); it != mirror_.documents().end(); ++it) {
    if (!it->first.starts_with("nodes/")) break;
    auto json = parse_json(it->second, it->first);
    if (!json || !json->is_object() || text_at(*json, "role") != "manager") continue;
    auto address = Address::parse(text_at(*json, "address"));
    if (address) managers.push_back({*address, static_cast<uint16_t>(number_at(*json, "port", kDefaultPort))});
  }
  client_.set_managers(std::move(managers));
}

namespace {

bool is_about_addresses(const std::string& key) {
  return key.starts_with("networks/") || key.starts_with("blocks/") || key == kRollCall;
}

}  // namespace

void Member::note_known(int64_t revision) {
  if (!addresses_) return known_.apply({}, revision);
  Feed::Documents documents;
  for (const auto& [key, value] : mirror_.documents())
    if (is_about_addresses(key)) documents.emplace(key, value);
  known_.replace(std::move(documents), revision);
  addresses_ = false;
}

Result<void> Member::follow_once() {
  int64_t known = 0, seen = 0, generation = 0;
  {
    std::lock_guard lock(mutex_);
    seen = std::max(saved_, status_.revision);
    generation = generation_;
    // What was in memory is compared with the directory now and then, from the beginning.
    if (now_ms() < compared_ms_) known = status_.revision;
  }
  FL_TRY(auto connection, client_.connect());
  Json request{{"op", "follow"}, {"revision", known}, {"seen", seen}, {"lineage", lineage_}};
  put_scope(request, scope_);
  FL_CHECK(connection.channel.send(request, kAskMs));
  if (known == 0) compared_ms_ = next_compare();
  {
    std::lock_guard lock(mutex_);
    status_.manager = to_text(connection.manager);
  }
  while (now_ms() < compared_ms_) {
    FL_CHECK(receive(connection.channel, known));
    std::lock_guard lock(mutex_);
    if (generation != generation_) break;  // a new certificate: connect with it
  }
  return {};
}

// The checker's thread.
void Member::answer_checks() {
  std::string answered;
  int64_t clocks_at = now_ms() + kClocksMs;
  while (stop_.sleep_ms(kCheckPauseMs)) {
    if (self_.is_manager() && now_ms() >= clocks_at) {
      ask_other_managers_clocks();
      clocks_at = now_ms() + kClocksMs;
    }
    std::string wanted;
    {
      std::lock_guard lock(mutex_);
      wanted = check_wanted_;
    }
    if (wanted == answered || !takes_part(self_.role)) continue;
    answered = wanted;
    auto request = parse_json(wanted, "check/wanted");
    if (!request || !request->is_object()) continue;
    auto found = check_directory(paths_, self_, client_, stop_);
    Json said = found ? to_json(*found) : Json{{"inStep", false}, {"problem", found.error().message}};
    said["apiVersion"] = 1;
    said["id"] = text_at(*request, "id");
    auto sent = client_.ask({{"op", "write"}, {"put", {{"checks/" + self_.name, dump_json(said)}}}}, kAskMs);
    if (!sent && sent.error().sys != ECANCELED) log_debug(sent.error().with("check").message);
  }
}

// One step: a whole snapshot, other networks, or changes; several messages, of which the last says the revision.
Result<void> Member::receive(Channel& channel, int64_t& known) {
  Feed::Documents documents, added;
  for (;;) {
    FL_TRY(auto message, channel.receive(kMaxMessage, kSilenceMs));
    if (!message) return fail("the manager has closed the connection", ECONNRESET);
    if (message->contains("error"))
      return fail(text_at(*message, "error"), static_cast<int>(number_at(*message, "errno")));
    take_documents(*message, "documents", documents);
    take_documents(*message, "added", added);
    if (message->contains("events")) FL_CHECK(apply_events(message->value("events", Json::array())));
    const int64_t revision = number_at(*message, "revision");
    if (revision == 0) continue;
    if (flag_at(*message, "complete")) {
      FL_CHECK(not_gone_back(revision));
      scope_ = scope_at(*message);
      FL_CHECK(mirror_.replace(std::move(documents)));
      snapshots_++;
      note_managers();
      addresses_ = true;
    } else if (message->contains("added")) {
      scope_ = scope_at(*message);
      FL_CHECK(mirror_.narrow(scope_, std::move(added)));
    }
    note_known(revision);
    auto lineage = mirror_.documents().find(kLineage);
    lineage_ = lineage == mirror_.documents().end() ? "" : lineage->second;
    known = revision;
    note(revision);
    return {};
  }
}

Result<void> Member::not_gone_back(int64_t revision) const {
  std::lock_guard lock(mutex_);
  const int64_t seen = std::max(saved_, status_.revision);
  if (revision >= seen) return {};
  return fail("the managers' store has gone back: it is at revision " + std::to_string(revision) + ", " +
                  std::to_string(seen) + " was seen before",
              ERANGE);
}

Result<void> Member::apply_events(const Json& items) {
  std::vector<EtcdEvent> events;
  bool nodes = false;
  for (const auto& item : items) {
    if (!item.is_object()) continue;
    EtcdEvent event{text_at(item, "key"), std::nullopt, 0};
    if (item.contains("value")) event.value = text_at(item, "value");
    nodes = nodes || event.key.starts_with("nodes/");
    addresses_ = addresses_ || is_about_addresses(event.key);
    events.push_back(std::move(event));
  }
  FL_CHECK(mirror_.apply(events));
  if (nodes) note_managers();
  return {};
}

}  // namespace fairlead::cluster
