// fairlead-ipam: the CNI IPAM plugin. Everything it does is in ipam.h; the protocol is in base/cni.h.
#include <cstdlib>

#include "ipam/conf_paths.h"
#include "ipam/ipam.h"

namespace cni = fairlead::cni;
namespace ipam = fairlead::ipam;
int main() {
  cni::Handlers handlers;
  handlers.add = [](const cni::Request& r) { return ipam::add(ipam::paths_of(r), r); };
  handlers.del = [](const cni::Request& r) { return ipam::del(ipam::paths_of(r), r); };
  handlers.check = [](const cni::Request& r) { return ipam::check(ipam::paths_of(r), r); };
  handlers.gc = [](const cni::Request& r) { return ipam::gc(ipam::paths_of(r), r); };
  handlers.status = [](const cni::Request& r) { return ipam::status(ipam::paths_of(r), r); };
  handlers.undo = [](const cni::Request& r) { (void)ipam::del(ipam::paths_of(r), r); };
  handlers.check_needs_prev_result = false;
  return cni::run(handlers);
}
