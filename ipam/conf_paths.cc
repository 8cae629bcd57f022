#include "ipam/conf_paths.h"

#include <nlohmann/json.hpp>

#include "base/cni_config.h"

namespace fairlead::ipam {
namespace {

void take(const Json& object, const char* key, std::string& path) {
  if (!object.is_object()) return;
  auto value = object.find(key);
  if (value == object.end() || !value->is_string()) return;
  if (const auto& text = value->get_ref<const std::string&>(); !text.empty()) path = text;
}

}  // namespace

Paths paths_of(const cni::Request& request) {
  Paths paths = Paths::from_environment();
  const Json* section = cni::find_member(*request.conf, "ipam");
  for (const Json* object : {request.conf.get(), section}) {
    if (!object) continue;
    take(*object, "stateDir", paths.state);
    take(*object, "runDir", paths.run);
  }
  return paths;
}

}  // namespace fairlead::ipam
