// libFuzzer: what the store and etcd may hold is read or refused, whatever it is. The first byte chooses the reader; a
// document of a key is KEY, a new line, DOCUMENT. What was taken keeps its promises.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "cluster/document_check.h"
#include "cluster/etcd_codec.h"
#include "cluster/member_documents.h"
#include "cluster/net.h"
#include "cluster/roles.h"
#include "cluster/rotation.h"
#include "cluster/scope.h"

namespace {

using namespace fairlead;           // NOLINT(google-build-using-namespace)
using namespace fairlead::cluster;  // NOLINT(google-build-using-namespace)

// What a key that is taken becomes a path of: nothing that leads elsewhere.
void try_key(const std::string& key) {
  auto parts = split_key(key);
  if (!parts) return;
  for (const auto& part : *parts)
    if (part.empty() || part[0] == '.' || part.find('/') != part.npos) std::abort();
  (void)refusal({"c1", "node", "n1", 7}, Verb::kWrite, key);
  (void)in_scope(std::set<std::string>{"a"}, key);
  (void)changes_scope(std::set<std::string>{"a"}, {key, std::nullopt, 1}, "n1");
}

void try_document(const std::string& text) {
  auto end = text.find('\n');
  const std::string key = text.substr(0, end), value = end == text.npos ? "" : text.substr(end + 1);
  try_key(key);
  (void)check_document(key, value);
  Feed feed;
  feed.replace({{key, value}}, 1);
  (void)scope_of(feed, {"c1", "node", "n1", 7});
  auto marked = with_mark(value, "c1");
  if (marked && mark_of(*marked) != "c1") std::abort();
  auto bare = marked ? with_mark(*marked, "") : Result<std::string>("");
  if (!bare || !mark_of(*bare).empty()) std::abort();
}

void try_answers(const std::string& text) {
  if (auto json = parse_json(text, "x"); json && json->is_object()) {
    (void)decode_range(*json);
    (void)decode_members(*json);
    (void)header_revision(*json);
    (void)scope_at(*json);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 6) {
    case 0:
      try_document(text);
      break;
    case 1:
      try_answers(text);
      break;
    case 2:
      (void)decode_watch_line(text);
      break;
    case 3:
      (void)decode_member(text);
      break;
    case 4:
      (void)decode_rotation(text);
      break;
    default:
      if (auto where = parse_host_port(text); where && !parse_host_port(to_text(*where))) std::abort();
  }
  return 0;
}
