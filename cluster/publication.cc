#include "cluster/publication.h"

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/names.h"
#include "cluster/document_check.h"
#include "cluster/key_documents.h"
#include "state/store.h"

namespace fairlead::cluster {
namespace {

constexpr size_t kRequestBytes = 512 << 10;

class Requests {
 public:
  void remove(const std::string& key) {
    current_["remove"].push_back(key);
    added(key.size());
  }
  void put(const std::string& key, const std::string& value) {
    current_["put"][key] = value;
    added(key.size() + value.size());
  }
  std::vector<Json> take() {
    if (changes_) finish();
    return std::move(done_);
  }

 private:
  void added(size_t bytes) {
    bytes_ += bytes;
    if (++changes_ >= kMaxEtcdChanges || bytes_ >= kRequestBytes) finish();
  }
  void finish() {
    done_.push_back(std::move(current_));
    current_ = {{"op", "write"}};
    changes_ = bytes_ = 0;
  }
  Json current_{{"op", "write"}};
  size_t changes_ = 0, bytes_ = 0;
  std::vector<Json> done_;
};

}  // namespace

Feed::Documents own_documents(const StateView& view, const std::string& node) {
  Feed::Documents documents;
  for (const auto& [key, endpoint] : view.endpoints()) {
    Endpoint mine = *endpoint;
    mine.node = node;
    documents["endpoints/" + mine.network + "/" + node + "/" + mine.key()] = encode(mine);
  }
  for (const auto& [key, health] : view.health())
    documents["health/" + health->network + "/" + node + "/" + health->service] = encode(*health);
  return documents;
}

Result<void> add_associations(const Paths& paths, const std::string& node, Feed::Documents& documents) {
  const std::string folder = associations_folder(paths);
  FL_TRY(auto peers, list_documents(folder));
  for (const auto& peer : peers) {
    FL_TRY(auto text, read_file(folder + "/" + peer + ".json"));
    if (text && is_object_name(peer)) documents["associations/" + node + "/" + peer] = std::move(*text);
  }
  return {};
}

bool is_published(const std::string& key, const std::string& node) {
  auto parts = split_key(key);
  if (!parts) return false;
  if ((*parts)[0] == "associations") return parts->size() == 3 && (*parts)[1] == node;
  const bool kind = (*parts)[0] == "endpoints" || (*parts)[0] == "health";
  return kind && parts->size() == 4 && (*parts)[2] == node;
}

std::vector<Json> differences(const Feed::Documents& wanted, const Feed::Documents& stored) {
  Requests requests;
  for (const auto& [key, value] : stored)
    if (!wanted.count(key)) requests.remove(key);
  for (const auto& [key, value] : wanted) {
    auto known = stored.find(key);
    if (known == stored.end() || known->second != value) requests.put(key, value);
  }
  return requests.take();
}

}  // namespace fairlead::cluster
