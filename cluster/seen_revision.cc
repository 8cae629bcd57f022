#include "cluster/seen_revision.h"

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cluster/channel.h"

namespace fairlead::cluster {
namespace {

std::string path_of(const Paths& paths) { return paths.state + "/cluster-revision.json"; }

}  // namespace

int64_t load_seen_revision(const Paths& paths, const std::string& cluster) {
  auto text = read_file(path_of(paths));
  if (!text || !*text) return 0;
  auto json = parse_json(**text, path_of(paths));
  bool ours = json && json->is_object() && text_at(*json, "cluster") == cluster;
  return ours ? number_at(*json, "revision") : 0;
}

Result<void> save_seen_revision(const Paths& paths, const std::string& cluster, int64_t revision) {
  return replace_file(path_of(paths), dump_json({{"cluster", cluster}, {"revision", revision}}) + "\n",
                      Durability::kDurable);
}

}  // namespace fairlead::cluster
