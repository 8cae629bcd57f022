#include <dirent.h>

#include "cni-plugin/attachment.h"
#include "cni-plugin/ipam_call.h"
#include "cni-plugin/network.h"
#include "kernel/netns.h"
#include "kernel/rtnl.h"
#include "overlay/attach.h"
#include "overlay/names.h"
#include "state/store.h"

namespace fairlead::plugin {
namespace {

using cni::CniResult;
using cni::Request;

// Every router on this node, for when the network's own documents are gone or unreadable. The host end's name is a hash
// over the network's name too, so a foreign router never has it.
std::vector<std::string> all_routers() {
  std::vector<std::string> names;
  DIR* dir = ::opendir(kernel::kNetnsFolder);
  if (!dir) return names;
  while (dirent* entry = ::readdir(dir))
    if (std::string name = entry->d_name; name.starts_with("fl-")) names.push_back(name);
  ::closedir(dir);
  return names;
}

Result<void> remove_link(const Paths& paths, const std::string& network, const std::string& host_end) {
  auto router = find_router(paths, network);
  if (router && *router) {
    FL_CHECK(overlay::detach(host_end, (*router)->netns.get()));
    return {};
  }
  for (const auto& name : all_routers()) {
    auto netns = kernel::open_netns(kernel::netns_path(name));
    if (!netns) continue;
    FL_TRY(bool found, overlay::detach(host_end, netns->get()));
    if (found) break;
  }
  return {};
}

// The document first, so that no daemon puts back what is being taken away; the address last, so that nobody gets it
// while its old link is still there.
CniResult<void> remove_own(const Paths& paths, const std::string& network, const std::string& container,
                           const std::string& ifname) {
  Result<void> first;
  auto keep = [&](Result<void> step) {
    if (!step && first) first = fail(step.error());
  };
  if (auto removed = remove_endpoint(paths, network, container, ifname); !removed) keep(fail(removed.error()));
  // fairlead-lb withdraws its report by itself; where it does not run, nobody else would.
  if (auto removed = remove_file(paths.port_report(network, attachment_key(container, ifname))); !removed)
    keep(fail(removed.error()));
  keep(remove_link(paths, network, overlay::host_ifname(network, container, ifname)));
  if (!first) return fail(cni::CniError(first.error()));
  return {};
}

}  // namespace

CniResult<void> del(const Paths& paths, const Request& request) {
  FL_TRY(Target target, read_target(request));
  // Where the lock cannot be had at all (a read-only run directory) what can be removed is.
  auto lock = lock_attachment(paths, target.network, request.container, request.ifname);
  if (!lock && lock.error().code == cni::kTryAgainLater) return fail(std::move(lock.error()));
  auto own = remove_own(paths, target.network, request.container, request.ifname);
  // The IPAM is asked whatever became of ours, and its error is told although ours is gone (CNI-092).
  CniResult<void> released;
  if (!target.ipam_type.empty()) released = ipam_del(paths, request, target.ipam_type);
  return own ? released : own;
}

}  // namespace fairlead::plugin
