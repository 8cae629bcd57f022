// Member: what the other nodes had, for a start after a boot while no manager can be reached.
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/log.h"
#include "cluster/member.h"

namespace fairlead::cluster {
namespace {

constexpr int64_t kSaveMs = 60000;
constexpr size_t kMaxBytes = 64 << 20;

// There from the first word of the managers in this boot on; no reader looks at files that begin with a point.
std::string heard_path(const Paths& paths) { return paths.run + "/remote/.heard"; }

bool is_remote(const std::string& key) {
  return key.starts_with("endpoints/") || key.starts_with("health/") || key.starts_with("live/");
}

}  // namespace

// At most once a minute, not synced: where it is lost or cut off there is nothing, as before it was there.
void Member::save_remote() {
  if (now_ms() < remote_at_) return;
  if (remote_at_ == 0) (void)replace_file(heard_path(paths_), "", Durability::kBoot);
  remote_at_ = now_ms() + kSaveMs;
  Json documents = Json::object();
  for (const auto& [key, value] : mirror_.documents())
    if (is_remote(key)) documents[key] = value;
  const std::string text = dump_json({{"cluster", self_.cluster}, {"documents", std::move(documents)}});
  const size_t hash = std::hash<std::string>()(text);
  if (hash == remote_hash_) return;
  auto saved = replace_file(remote_path(paths_), text, Durability::kBoot);
  if (saved) remote_hash_ = hash;
  if (!saved) log_debug(saved.error().message);
}

// Only when this boot has not heard of the cluster yet: what is there from it is newer.
void Member::load_remote() {
  struct stat st {};
  if (::stat(heard_path(paths_).c_str(), &st) == 0) return;
  auto text = read_file(remote_path(paths_), kMaxBytes);
  if (!text || !*text) return;
  auto json = parse_json(**text, remote_path(paths_), {kMaxBytes, 8});
  if (!json || !json->is_object() || text_at(*json, "cluster") != self_.cluster) return;
  std::vector<EtcdEvent> events;
  const Json documents = json->value("documents", Json::object());
  for (const auto& [key, value] : documents.items())
    if (is_remote(key) && value.is_string()) events.push_back({key, value.get<std::string>(), 0});
  if (auto done = mirror_.apply(events); !done) log_warning(done.error().message);
}

}  // namespace fairlead::cluster
