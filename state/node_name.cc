#include "state/node_name.h"

#include <unistd.h>

#include <cctype>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "base/names.h"

namespace fairlead {
namespace {

Result<std::string> name_of_host() {
  char text[256] = "";
  if (::gethostname(text, sizeof text - 1) != 0) return fail_errno("ask for", "this host's name");
  std::string name;
  for (const char* c = text; *c && *c != '.'; c++)
    name += static_cast<char>(std::tolower(static_cast<unsigned char>(*c)));
  return name;
}

}  // namespace

Result<std::optional<ClusterPlace>> cluster_place(const Paths& paths) {
  const std::string path = paths.state + "/cluster.json";
  FL_TRY(auto text, read_file(path));
  if (!text) return std::nullopt;
  FL_TRY(Json json, parse_json(*text, path));
  ObjectReader r(json, path);
  ClusterPlace place;
  r.required("cluster", place.cluster);
  r.required("name", place.name);
  r.optional("founder", place.founding);
  FL_CHECK(r.finish());
  if (auto good = check_object_name("node name", place.name); !good) return fail(good.error().with(path));
  return std::optional<ClusterPlace>(std::move(place));
}

Result<std::string> node_name(const Paths& paths) {
  FL_TRY(auto place, cluster_place(paths));
  if (place) return std::move(place->name);
  const std::string path = paths.node_document();
  std::string name, source = path;
  FL_TRY(auto text, read_file(path));
  if (text) {
    FL_TRY(Json json, parse_json(*text, path));
    ObjectReader r(json, path);
    r.optional("name", name);
    FL_CHECK(r.finish());
  }
  if (name.empty()) {
    FL_TRY(name, name_of_host());
    source = "this host's name";
  }
  if (auto good = check_object_name("node name", name); !good)
    return fail(source + ": " + good.error().message + "; set \"name\" in " + path);
  return name;
}

}  // namespace fairlead
