#include "cluster/check.h"

#include <cerrno>
#include <set>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cluster/block_plan.h"
#include "cluster/document_check.h"
#include "cluster/mirror.h"
#include "cluster/publication.h"
#include "cluster/roles.h"
#include "state/block_record.h"
#include "state/store.h"

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

std::optional<NodeBlocks> blocks_of(const std::string& text, const std::string& source) {
  auto json = parse_json(text, source);
  auto blocks = json ? decode_node_blocks(*json, source) : fail(json.error());
  return blocks ? std::optional(std::move(*blocks)) : std::nullopt;
}

// Its own blocks are no mirror: a part that is given back, or that another node uses, too, leaves the file first.
std::string difference_of_blocks(const std::string& file, const std::string& store, const std::string& key) {
  auto there = blocks_of(store, key);
  if (!there) return "cannot be read in the store; this node's blocks are nobody else's, and it gets no other";
  auto here = blocks_of(file, key);
  if (!here) return "cannot be read here";
  for (const auto& block : here->blocks)
    if (!covers(there->blocks, block)) return "holds " + block.to_string() + ", which is not this node's in the store";
  std::vector<Prefix> known = here->blocks;
  known.insert(known.end(), here->giving.begin(), here->giving.end());
  for (const auto& [part, node] : there->disputed) known.push_back(part);
  for (const auto& block : there->blocks) {
    std::vector<Prefix> left{block};
    for (const auto& one : known) left = without(left, one);
    if (!left.empty()) return "does not hold " + left.front().to_string() + ", which is this node's in the store";
  }
  return "";
}

Result<void> compare_own_blocks(const Paths& paths, const Membership& self, const Feed::Documents& store,
                                std::map<std::string, std::string>& differences) {
  FL_TRY(auto networks, list_folders(paths.blocks()));
  std::set<std::string> names(networks.begin(), networks.end());
  for (auto it = store.lower_bound("blocks/"); it != store.end() && it->first.starts_with("blocks/"); ++it)
    if (auto parts = split_key(it->first); parts && parts->size() == 3 && (*parts)[2] == self.name)
      names.insert((*parts)[1]);
  for (const auto& name : names) {
    const std::string key = "blocks/" + name + "/" + self.name;
    FL_TRY(auto file, read_file(paths.blocks(name, self.name)));
    if (file && mark_of(*file) != self.cluster) continue;
    auto there = store.find(key);
    if (!file && there == store.end()) continue;
    const std::string nothing = encode(NodeBlocks{name, self.name});
    std::string text =
        difference_of_blocks(file ? *file : nothing, there != store.end() ? there->second : nothing, key);
    if (!text.empty()) differences[key] = std::move(text);
  }
  return {};
}

Result<CheckResult> compare_once(const Paths& paths, const Membership& self, Channel& channel) {
  CheckResult result;
  // What there is here is read after what there is there: a change that is on its way then is a difference once only.
  FL_TRY(auto store, read_store(channel, result.revision));
  result.documents = store.size();
  FL_TRY(result.differences, compare_mirror(paths, self.cluster, self.name, store));
  if (!takes_part(self.role)) return result;
  FL_CHECK(compare_own_blocks(paths, self, store, result.differences));
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
