#include "agent/endpoint_check.h"

#include <sys/stat.h>

#include <cerrno>

#include "agent/container_state.h"
#include "base/file.h"
#include "kernel/netns.h"
#include "overlay/attach.h"
#include "state/store.h"

namespace fairlead::agent {
namespace {

using kernel::NetlinkSocket;

Result<ino_t> inode_of(int netns) {
  struct stat st {};
  if (::fstat(netns, &st) != 0) return fail_errno("stat", "network namespace");
  return st.st_ino;
}

bool is_gone(const Error& error) {
  return error.sys == ENOENT || error.sys == EINVAL || error.sys == ESRCH || error.sys == ENOTDIR;
}

bool paired(const kernel::Link* inside, const kernel::Link* host_end) {
  return inside && host_end && inside->peer_index == host_end->index && host_end->peer_index == inside->index;
}

Result<std::optional<kernel::Link>> find_host_end(int router, const std::string& name) {
  std::optional<kernel::Link> link;
  FL_CHECK(kernel::in_netns(router, [&]() -> Result<void> {
    FL_TRY(auto socket, NetlinkSocket::open(NETLINK_ROUTE));
    FL_TRY(link, kernel::find_link(socket, name));
    return {};
  }));
  return link;
}

Result<bool> still_wanted(const EndpointWork& w) {
  FL_TRY(auto document, load_endpoint(w.paths, w.endpoint.network, w.endpoint.container, w.endpoint.ifname));
  return document.has_value();
}

Result<EndpointState> attach_again(const EndpointWork& w, const overlay::Attachment& attachment, int container,
                                   NetlinkSocket& inside, Repairs& repairs) {
  auto lock = lock_attachment(w.paths, w.endpoint);
  if (!lock) return lock.error().sys == EWOULDBLOCK ? Result<EndpointState>(EndpointState::kFine) : fail(lock.error());
  FL_TRY(bool wanted, still_wanted(w));
  if (!wanted) return EndpointState::kFine;
  FL_TRY(auto there, kernel::find_link(inside, w.endpoint.ifname));
  FL_TRY(auto host_end, find_host_end(w.router, attachment.host_ifname));
  if (paired(there ? &*there : nullptr, host_end ? &*host_end : nullptr)) return EndpointState::kFine;
  if (there && there->mac != w.endpoint.mac)
    return fail("the container has an interface " + there->name + " with MAC " + there->mac.to_string() +
                " in the place of fairlead's; remove it or detach the container");
  if (there) {
    kernel::Batch batch;
    batch.push_back(kernel::delete_link(there->index, there->name));
    FL_CHECK(inside.run(std::move(batch)));
  }
  auto attached = overlay::attach(attachment, w.router, container);
  if (!attached) return fail(attached.error().error);
  repairs.add("link");
  return EndpointState::kRepaired;
}

Result<EndpointState> put_right(const overlay::Attachment& attachment, const overlay::Observed& observed,
                                NetlinkSocket& inside, Repairs& repairs) {
  auto missing = overlay::difference(wanted_in_container(attachment, observed), observed);
  if (missing.empty()) return EndpointState::kFine;
  kernel::Batch batch;
  Repairs done;
  for (auto& repair : missing) {
    done.add(repair.kind);
    batch.push_back(std::move(repair.request));
  }
  FL_CHECK(inside.run(std::move(batch)));
  repairs.add(done);
  return EndpointState::kRepaired;
}

// The limits on its traffic, which are in the router.
Result<EndpointState> put_shaping_right(const EndpointWork& w, const overlay::Shaping& shaping, uint32_t host_index,
                                        Repairs& repairs) {
  if (!shaping.any()) return EndpointState::kFine;
  std::optional<NetlinkSocket> router;
  FL_CHECK(kernel::in_netns(w.router, [&]() -> Result<void> {
    FL_TRY(router, NetlinkSocket::open(NETLINK_ROUTE));
    return {};
  }));
  FL_TRY(auto missing, overlay::missing_shaping(*router, shaping, host_index));
  if (missing.empty()) return EndpointState::kFine;
  auto lock = lock_attachment(w.paths, w.endpoint);
  if (!lock) return lock.error().sys == EWOULDBLOCK ? Result<EndpointState>(EndpointState::kFine) : fail(lock.error());
  FL_TRY(bool wanted, still_wanted(w));
  if (!wanted) return EndpointState::kFine;
  FL_CHECK(overlay::renew_shaping(*router, shaping, host_index));
  repairs.add("limit");
  return EndpointState::kRepaired;
}

// The namespace at the endpoint's path, if it is one we may touch; nullopt: gone.
Result<std::optional<Fd>> open_container(const EndpointWork& w) {
  if (w.endpoint.netns.empty()) return std::nullopt;
  auto container = kernel::open_netns(w.endpoint.netns);
  if (!container) {
    if (is_gone(container.error())) return std::nullopt;
    return fail(container.error());
  }
  FL_TRY(ino_t inode, inode_of(container->get()));
  FL_TRY(Fd own, kernel::own_netns());
  FL_TRY(bool host, kernel::same_netns(own.get(), container->get()));
  FL_TRY(bool router, kernel::same_netns(w.router, container->get()));
  if (host || router)
    return fail(w.endpoint.netns + " is " + (host ? "the host's own namespace" : "the network's router") +
                ", not a container's; nothing is changed there");
  if (w.seen && *w.seen != inode) return std::nullopt;  // another one by the same name
  return std::move(*container);
}

}  // namespace

Result<Fd> lock_attachment(const Paths& paths, const Endpoint& e) {
  return lock_key(paths.attachments_lock(), attachment_lock_key(e.network, e.container, e.ifname), 0);
}

Result<EndpointState> check_endpoint(EndpointWork w, Repairs& repairs) {
  FL_TRY(auto container, open_container(w));
  if (!container) return EndpointState::kGone;
  std::optional<NetlinkSocket> inside;
  FL_CHECK(kernel::in_netns(container->get(), [&]() -> Result<void> {
    FL_TRY(inside, NetlinkSocket::open(NETLINK_ROUTE));
    return {};
  }));
  FL_TRY(auto observed, overlay::observe(*inside));
  auto attachment = overlay::attachment_of(w.network, w.endpoint, w.router_mtu);
  const kernel::Link* link = observed.link(w.endpoint.ifname);
  std::optional<kernel::Link> host_end;
  if (!paired(link, w.host_end)) {
    // What the caller knows may be a second old.
    FL_TRY(host_end, find_host_end(w.router, attachment.host_ifname));
  }
  if (!paired(link, w.host_end) && !paired(link, host_end ? &*host_end : nullptr)) {
    // A process' namespace is only ever repaired when it is known to be the one: numbers of processes come again.
    if (!w.seen && w.endpoint.netns.starts_with("/proc/"))
      return fail(w.endpoint.netns + ": cannot tell whether this is still the container's namespace; attach it again");
    return attach_again(w, attachment, container->get(), *inside, repairs);
  }
  FL_TRY(w.seen, inode_of(container->get()));
  FL_TRY(auto shaped, put_shaping_right(w, attachment.shaping, link->peer_index, repairs));
  FL_TRY(auto state, put_right(attachment, observed, *inside, repairs));
  return state == EndpointState::kFine ? shaped : state;
}

}  // namespace fairlead::agent
