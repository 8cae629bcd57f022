#include <dirent.h>

#include <cstdio>
#include <set>

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

namespace {

// Host ends in the router that belong to nobody on the list and have no document: left by an ADD that was killed.
Result<void> remove_stray_links(const Paths& paths, const std::string& network, const std::set<std::string>& wanted) {
  FL_TRY(auto router, find_router(paths, network));
  if (!router) return {};
  return kernel::in_netns(router->netns.get(), [&]() -> Result<void> {
    FL_TRY(auto socket, kernel::NetlinkSocket::open(NETLINK_ROUTE));
    FL_TRY(auto links, kernel::dump_links(socket));
    kernel::Batch batch;
    for (const auto& link : links)
      if (link.kind == "veth" && link.name.starts_with("c") && !wanted.count(link.name))
        batch.push_back(kernel::delete_link(link.index, link.name));
    return socket.run(std::move(batch));
  });
}

}  // namespace

CniResult<void> gc(const Paths& paths, const Request& request) {
  FL_TRY(Target target, read_target(request));
  FL_TRY(auto valid, cni::valid_attachments(request));
  // Not given is not "none": libcni leaves the key out when it was called without arguments (CNI-123).
  if (!valid) return {};
  std::set<std::string> keys, links;
  for (const auto& a : *valid) {
    keys.insert(attachment_key(a.container, a.ifname));
    links.insert(overlay::host_ifname(target.network, a.container, a.ifname));
  }
  CniResult<void> first;
  auto keep = [&](CniResult<void> step) {
    if (!step && first) first = fail(step.error());
  };
  auto names = list_documents(paths.endpoints(target.network));
  if (!names) return fail(cni::CniError(names.error()));
  for (const auto& name : *names) {
    if (keys.count(name)) continue;
    std::string path = paths.endpoints(target.network) + "/" + name + ".json";
    if (auto removed = remove_file(path); !removed) keep(fail(cni::CniError(removed.error())));
  }
  if (auto strays = remove_stray_links(paths, target.network, links); !strays)
    keep(fail(cni::CniError(strays.error())));
  if (!target.ipam_type.empty()) keep(ipam_gc(paths, request, target.ipam_type));
  return first;
}

}  // namespace fairlead::plugin
