// fairlead: the CNI plugin. Attaches a container to a Fairlead network; see docs/architecture.md, "the path of an ADD".
#include "cni-plugin/attachment.h"
#include "ipam/conf_paths.h"

int main() {
  using fairlead::ipam::paths_of;
  namespace cni = fairlead::cni;
  namespace plugin = fairlead::plugin;
  cni::Handlers handlers;
  handlers.add = [](const cni::Request& r) { return plugin::add(paths_of(r), r); };
  handlers.del = [](const cni::Request& r) { return plugin::del(paths_of(r), r); };
  handlers.check = [](const cni::Request& r) { return plugin::check(paths_of(r), r); };
  handlers.gc = [](const cni::Request& r) { return plugin::gc(paths_of(r), r); };
  handlers.status = [](const cni::Request& r) { return plugin::status(paths_of(r), r); };
  handlers.undo = [](const cni::Request& r) { (void)plugin::del(paths_of(r), r); };
  return cni::run(handlers);
}
