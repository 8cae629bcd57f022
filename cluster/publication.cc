#include "cluster/publication.h"

#include <nlohmann/json.hpp>

#include "cluster/document_check.h"

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

bool is_published(const std::string& key, const std::string& node) {
  if (!key.starts_with("endpoints/") && !key.starts_with("health/")) return false;
  auto parts = split_key(key);
  return parts && parts->size() == 4 && (*parts)[2] == node;
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
