// fairlead-ipam: the CNI IPAM plugin. Everything it does is in ipam.h; the protocol is in base/cni.h.
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "base/cni_config.h"
#include "ipam/ipam.h"

namespace {

using fairlead::Json;
using fairlead::Paths;
namespace cni = fairlead::cni;
namespace ipam = fairlead::ipam;

// stateDir and runDir of the configuration, or of its ipam section, over the environment.
Paths paths_of(const cni::Request& request) {
  Paths paths = Paths::from_environment();
  auto take = [&](const Json& object) {
    auto set = [&](const char* key, std::string& to) {
      const Json* value = object.is_object() && object.contains(key) ? &object[key] : nullptr;
      if (value && value->is_string() && !value->get_ref<const std::string&>().empty()) to = value->get<std::string>();
    };
    set("stateDir", paths.state);
    set("runDir", paths.run);
  };
  take(*request.conf);
  if (const Json* section = cni::find_member(*request.conf, "ipam")) take(*section);
  return paths;
}

}  // namespace

int main() {
  cni::Handlers handlers;
  handlers.add = [](const cni::Request& r) { return ipam::add(paths_of(r), r); };
  handlers.del = [](const cni::Request& r) { return ipam::del(paths_of(r), r); };
  handlers.check = [](const cni::Request& r) { return ipam::check(paths_of(r), r); };
  handlers.gc = [](const cni::Request& r) { return ipam::gc(paths_of(r), r); };
  handlers.status = [](const cni::Request& r) { return ipam::status(paths_of(r), r); };
  handlers.undo = [](const cni::Request& r) { (void)ipam::del(paths_of(r), r); };
  handlers.check_needs_prev_result = false;
  return cni::run(handlers);
}
