#include "overlay/life.h"

#include <dirent.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "kernel/netlink.h"
#include "kernel/netns.h"
#include "kernel/rtnl.h"
#include "overlay/names.h"
#include "state/netns_id.h"
#include "state/store.h"

namespace fairlead::overlay {
namespace {

bool is_dead(const Error& error) { return error.sys == ENOENT || error.sys == EINVAL; }

// The host end's name is a hash over the network's name too, so a foreign router never has it.
Result<std::vector<std::string>> routers_to_search(const Paths& paths, const std::string& network) {
  auto record = load_router(paths, network);
  if (record && *record) return std::vector<std::string>{(*record)->netns};
  std::vector<std::string> names;
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(kernel::kNetnsFolder), ::closedir);
  if (!dir && errno != ENOENT) return fail_errno("list", kernel::kNetnsFolder);
  while (dirent* entry = dir ? ::readdir(dir.get()) : nullptr)
    if (std::string name = entry->d_name; name.starts_with("fl-")) names.push_back(name);
  return names;
}

}  // namespace

Result<bool> has_host_end(const Paths& paths, const std::string& network, const std::string& host_ifname) {
  FL_TRY(auto names, routers_to_search(paths, network));
  for (const auto& name : names) {
    auto router = kernel::open_netns(kernel::netns_path(name));
    if (!router && is_dead(router.error())) continue;
    if (!router) return fail(router.error());
    bool found = false;
    FL_CHECK(kernel::in_netns(router->get(), [&]() -> Result<void> {
      FL_TRY(auto socket, kernel::NetlinkSocket::open(NETLINK_ROUTE));
      FL_TRY(auto link, kernel::find_link(socket, host_ifname));
      found = link.has_value();
      return {};
    }));
    if (found) return true;
  }
  return false;
}

Result<bool> lives(const Paths& paths, const Endpoint& e) {
  // Without a path only the link can tell.
  if (!e.netns.empty() && netns_state(e.netns, e.netns_inode) != NetnsState::kGone) return true;
  return has_host_end(paths, e.network, host_ifname(e.network, e.container, e.ifname));
}

}  // namespace fairlead::overlay
