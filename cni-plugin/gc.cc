// GC: what the runtime does not name any more and what is provably dead. The runtime's list alone is no proof: libcni's
// cache is shared by all runtimes of a node, and each lists its own containers only
// (docs/decisions/0017-what-garbage-collection-believes.md).
#include <cstdlib>
#include <set>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cni-plugin/attachment.h"
#include "cni-plugin/ipam_call.h"
#include "cni-plugin/network.h"
#include "ipam/ipam.h"
#include "ipam/lease.h"
#include "kernel/netns.h"
#include "overlay/life.h"
#include "overlay/names.h"
#include "overlay/shaping.h"
#include "state/netns_id.h"
#include "state/store.h"

namespace fairlead::plugin {
namespace {

using cni::Attachment;
using cni::CniResult;
using cni::Request;

class Collection {
 public:
  Collection(const Paths& paths, const Request& request, Target target, const std::vector<Attachment>& listed)
      : paths_(paths), request_(request), target_(std::move(target)), listed_(listed.begin(), listed.end()) {
    for (const auto& a : listed) listed_keys_.insert(attachment_key(a.container, a.ifname));
  }

  // Goes on after errors and returns the first.
  CniResult<void> run() {
    if (auto names = list_documents(paths_.endpoints(target_.network)); names) {
      for (const auto& name : *names)
        if (!listed_keys_.count(name)) note(collect_endpoint(paths_.endpoints(target_.network) + "/" + name + ".json"));
    } else {
      note(fail(cni::CniError(names.error())));
    }
    if (target_.ipam_type == kOwnIpam) {
      note(collect_leases());
    } else if (!target_.ipam_type.empty()) {
      note(ipam_gc(paths_, with_the_living(), target_.ipam_type));
    }
    note(collect_devices());
    return first_;
  }

 private:
  void note(CniResult<void> done) {
    if (!done && first_) first_ = fail(done.error());
  }

  // nullopt: an ADD or DEL of it runs right now, so it is none of ours.
  CniResult<std::optional<Fd>> lock(const std::string& container, const std::string& ifname) {
    auto held = lock_attachment(paths_, target_.network, container, ifname, 0);
    if (held) return std::optional<Fd>(std::move(*held));
    if (held.error().code == cni::kTryAgainLater) return std::nullopt;
    return fail(held.error());
  }

  CniResult<void> collect_endpoint(const std::string& path) {
    FL_TRY(auto endpoint, load_endpoint_file(path));
    if (!endpoint) return {};
    living_.insert({endpoint->container, endpoint->ifname});
    FL_TRY(auto age, file_age_ms(path));
    if (!age || *age < ipam::kGraceMs) return {};
    FL_TRY(auto held, lock(endpoint->container, endpoint->ifname));
    if (!held) return {};
    FL_TRY(endpoint, load_endpoint_file(path));
    if (!endpoint) return {};
    FL_TRY(bool alive, overlay::lives(paths_, *endpoint));
    if (alive) return {};
    // A foreign IPAM's address first: once the document is gone nobody knows of it. Our own leases are found without
    // it.
    if (!target_.ipam_type.empty() && target_.ipam_type != kOwnIpam) FL_CHECK(release_foreign(*endpoint));
    FL_CHECK(remove_file(path));
    FL_CHECK(remove_file(paths_.port_report(target_.network, endpoint->key())));
    living_.erase({endpoint->container, endpoint->ifname});
    if (target_.ipam_type != kOwnIpam) return {};
    FL_CHECK(ipam::release(paths_, target_.network, endpoint->container, endpoint->ifname));
    return {};
  }

  // As libcni does for the attachments it remembers: plugins without a GC of their own know DEL (host-local).
  CniResult<void> release_foreign(const Endpoint& endpoint) {
    ::setenv("CNI_CONTAINERID", endpoint.container.c_str(), 1);
    ::setenv("CNI_IFNAME", endpoint.ifname.c_str(), 1);
    ::setenv("CNI_NETNS", "", 1);
    auto done = ipam_del(paths_, request_, target_.ipam_type);
    for (const char* name : {"CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"}) ::setenv(name, "", 1);
    return done;
  }

  // Devices of limits whose host end went with its container.
  CniResult<void> collect_devices() {
    FL_TRY(auto router, find_router(paths_, target_.network));
    if (!router) return {};
    FL_CHECK(kernel::in_netns(router->netns.get(), [&]() -> Result<void> {
      FL_TRY(auto socket, kernel::NetlinkSocket::open(NETLINK_ROUTE));
      FL_CHECK(overlay::remove_stray_devices(socket));
      return {};
    }));
    return {};
  }

  // Leases that no endpoint has: of an ADD or DEL that was killed, or of another main plugin on this network.
  CniResult<void> collect_leases() {
    ipam::LeaseStore::Collection collection;
    collection.min_age_ms = ipam::kGraceMs;
    collection.judge = [&](const ipam::Owner& owner) -> std::optional<Fd> {
      if (listed_.count({owner.container, owner.ifname})) return std::nullopt;
      auto dead = guard_if_dead(owner);
      if (!dead) note(fail(dead.error()));
      return dead ? std::move(*dead) : std::nullopt;
    };
    auto done = ipam::LeaseStore(paths_, target_.network).collect(collection);
    if (!done) return fail(cni::CniError(done.error()));
    return {};
  }

  CniResult<std::optional<Fd>> guard_if_dead(const ipam::Owner& owner) {
    const bool netns_gone = netns_state(owner.netns, owner.netns_inode) == NetnsState::kGone;
    if (!owner.by_fairlead) return netns_gone ? std::optional<Fd>(Fd()) : std::nullopt;
    FL_TRY(auto held, lock(owner.container, owner.ifname));
    if (!held) return std::nullopt;
    // Under the lock: an attachment that is whole has a document, one that works has a link. With neither, nothing
    // uses the address, even if the namespace lives: its ADD was killed before it had made anything else.
    FL_TRY(auto endpoint, load_endpoint(paths_, target_.network, owner.container, owner.ifname));
    if (endpoint) return std::nullopt;
    FL_TRY(bool linked, overlay::has_host_end(paths_, target_.network,
                                              overlay::host_ifname(target_.network, owner.container, owner.ifname)));
    if (linked) return std::nullopt;
    return held;
  }

  // What is forwarded: a foreign IPAM believes the list, so what was kept is named in it.
  Request with_the_living() {
    Request request = request_;
    if (living_.empty()) return request;
    Json conf = *request.conf;
    for (const char* key : {"cni.dev/valid-attachments", "cni.dev/attachments"}) {
      auto list = conf.find(key);
      if (list == conf.end() || !list->is_array()) continue;
      for (const auto& a : living_)
        if (!listed_.count(a)) list->push_back({{"containerID", a.container}, {"ifname", a.ifname}});
    }
    request.stdin_text = dump_json(conf);
    return request;
  }

  const Paths& paths_;
  const Request& request_;
  Target target_;
  std::set<Attachment> listed_, living_;
  std::set<std::string> listed_keys_;
  CniResult<void> first_;
};

}  // namespace

CniResult<void> gc(const Paths& paths, const Request& request) {
  FL_TRY(Target target, read_target(request));
  FL_TRY(auto valid, cni::valid_attachments(request));
  // Not given is not "none": libcni leaves the key out when it was called without arguments (CNI-123).
  if (!valid) return {};
  return Collection(paths, request, std::move(target), *valid).run();
}

}  // namespace fairlead::plugin
