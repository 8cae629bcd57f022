#include "cluster/check.h"

#include <cerrno>

#include <nlohmann/json.hpp>

#include "cluster/mirror.h"
#include "cluster/publication.h"
#include "cluster/roles.h"

namespace fairlead::cluster {
namespace {

constexpr int kAskMs = 10000, kPauseMs = 100;
constexpr size_t kNamed = 100;

// Everything of the store that concerns this node, read from etcd.
Result<Feed::Documents> read_store(Channel& channel, int64_t& revision) {
  Feed::Documents documents;
  FL_CHECK(channel.send({{"op", "read"}}, kAskMs));
  for (;;) {
    FL_TRY(auto message, channel.receive(kMaxMessage, kAskMs));
    if (!message) return fail("the manager has closed the connection", ECONNRESET);
    if (message->contains("error"))
      return fail(text_at(*message, "error"), static_cast<int>(number_at(*message, "errno")));
    auto part = message->find("documents");
    if (part == message->end() || !part->is_object()) return fail("the manager's answer makes no sense", EBADMSG);
    for (const auto& [key, value] : part->items())
      if (value.is_string()) documents[key] = value.get<std::string>();
    if (!flag_at(*message, "complete")) continue;
    revision = number_at(*message, "revision");
    return documents;
  }
}

Result<CheckResult> compare_once(const Paths& paths, const Membership& self, Channel& channel) {
  CheckResult result;
  // What there is here is read after what there is there: a change that is on its way then is a difference once only.
  FL_TRY(auto store, read_store(channel, result.revision));
  result.documents = store.size();
  FL_TRY(result.differences, compare_mirror(paths, self.cluster, self.name, store));
  if (!takes_part(self.role)) return result;
  FL_TRY(auto view, StateView::open(paths));
  const auto own = own_documents(*view, self.name);
  for (const auto& [key, value] : own) {
    auto there = store.find(key);
    if (there == store.end())
      result.differences[key] = "this node's own, is missing in the store";
    else if (there->second != value)
      result.differences[key] = "this node's own, differs in the store";
  }
  for (const auto& [key, value] : store)
    if (is_published(key, self.name) && !own.count(key)) result.differences[key] = "is gone here, but not in the store";
  return result;
}

}  // namespace

Json to_json(const CheckResult& result) {
  Json differences = Json::object();
  for (const auto& [key, text] : result.differences)
    if (differences.size() < kNamed) differences[key] = text;
  return {{"inStep", result.differences.empty()},
          {"revision", result.revision},
          {"documents", result.documents},
          {"differences", std::move(differences)}};
}

Result<CheckResult> check_directory(const Paths& paths, const Membership& self, ManagerClient& client,
                                    const StopSignal& stop) {
  FL_TRY(auto connection, client.connect());
  const int64_t deadline = now_ms() + kPatienceMs;
  FL_TRY(CheckResult result, compare_once(paths, self, connection.channel));
  while (!result.differences.empty() && now_ms() < deadline && stop.sleep_ms(kPauseMs)) {
    FL_TRY(CheckResult again, compare_once(paths, self, connection.channel));
    std::erase_if(again.differences, [&](const auto& one) { return !result.differences.count(one.first); });
    result = std::move(again);
  }
  return result;
}

}  // namespace fairlead::cluster
