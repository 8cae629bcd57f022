#include "agent/wireguard.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>

#include "base/file.h"
#include "cluster/node_keys.h"

namespace fairlead::agent {
namespace {

using kernel::NetlinkSocket;
using kernel::Wireguard;
using kernel::WireguardDevice;
using overlay::kWireguardLink;
using overlay::Observed;
using overlay::WireguardNode;
using overlay::WireguardPlan;

constexpr int kLockTimeoutMs = 10000;
// What comes up changes what the kernel holds; two rounds settle it, the third finds nothing.
constexpr int kRounds = 3;
constexpr std::chrono::seconds kAskAgain{30};

Result<Fd> lock(const Paths& paths) {
  FL_CHECK(make_folders(paths.run));
  return lock_file(paths.run + "/.wireguard.lock", kLockTimeoutMs);
}

Result<uint32_t> underlay_mtu(NetlinkSocket& host, const WireguardNode& own) {
  FL_TRY(auto addresses, kernel::dump_addresses(host));
  for (const auto& a : addresses) {
    if (a.prefix.address != own.underlay) continue;
    FL_TRY(auto link, kernel::find_link(host, a.index));
    if (link) return link->mtu;
  }
  return fail("this node's address " + own.underlay.to_string() +
                  " is on no interface of this host; correct its document in nodes/",
              EADDRNOTAVAIL);
}

// Of the host only what concerns the device: what else it has must not cost anything.
Result<Observed> look(NetlinkSocket& host) {
  Observed o;
  FL_TRY(auto link, kernel::find_link(host, kWireguardLink));
  FL_TRY(o.routes, kernel::dump_own_routes(host, AF_INET));
  if (!link) return o;
  FL_TRY(o.addresses, kernel::dump_addresses(host, link->index));
  o.links.push_back(std::move(*link));
  return o;
}

Result<void> refuse_foreign(const Observed& observed) {
  if (observed.links.empty() || observed.links.front().kind == "wireguard") return {};
  return fail(std::string("link ") + kWireguardLink + " on this host is a " + observed.links.front().kind +
                  " and not fairlead's; rename it",
              EEXIST);
}

// Links, addresses and routes as planned; routes of nodes that went away.
Result<void> settle(NetlinkSocket& host, const WireguardPlan& plan, Repairs* repairs) {
  Result<void> applied;
  for (int round = 0;; round++) {
    FL_TRY(Observed observed, look(host));
    auto missing = overlay::stale_wireguard_routes(plan, observed.routes);
    for (auto& repair : overlay::difference(plan.wanted, observed)) missing.push_back(std::move(repair));
    if (missing.empty()) return {};
    if (round == kRounds) return applied;
    if (repairs && round == 0) repairs->add("wireguard", missing.size());
    kernel::Batch batch;
    for (auto& repair : missing) batch.push_back(std::move(repair.request));
    applied = host.run(std::move(batch));
  }
}

// The kernel does nothing when it has this key and port already.
Result<void> set_key(const Paths& paths, Wireguard& wireguard, const WireguardPlan& plan) {
  FL_TRY(auto key, cluster::load_node_key(cluster::wireguard_key_path(paths)));
  if (!key)
    return fail(cluster::wireguard_key_path(paths) + " is missing; fairlead-agent makes it when it starts", ENOENT);
  kernel::Batch batch;
  batch.push_back(wireguard.set_device(kWireguardLink, Secret(key->data(), key->size()), plan.port));
  auto done = wireguard.socket().run(std::move(batch));
  if (done || done.error().sys != EADDRINUSE) return done;
  return fail("UDP port " + std::to_string(plan.port) + " of this host is somebody else's; free it, or set " +
                  "wireguardPort in this node's document on every node",
              EADDRINUSE);
}

bool has_key(const WireguardDevice& device) { return device.key != kernel::WireguardKey{}; }

Result<void> ensure_device(const Paths& paths, Wireguard& wireguard, const WireguardPlan& plan, Repairs* repairs,
                           std::vector<std::string>& problems) {
  FL_TRY(auto device, wireguard.find(kWireguardLink));
  if (!device) return fail(std::string("device ") + kWireguardLink + " vanished as soon as it was made", ENODEV);
  if (plan.key != device->key || !has_key(*device) || plan.port != device->port) {
    auto set = set_key(paths, wireguard, plan);
    // A device with a key goes on: whatever leaves by it is encrypted.
    if (!set && !has_key(*device)) return set;
    if (!set) problems.push_back(set.error().message);
    FL_TRY(auto now, wireguard.find(kWireguardLink));
    if (now && repairs && (now->key != device->key || now->port != device->port)) repairs->add("wireguard");
    if (now && plan.key != kernel::WireguardKey{} && now->key != plan.key)
      problems.push_back("the others know another WireGuard key of this node than " +
                         cluster::wireguard_key_path(paths) + " holds; nothing gets through until they are told");
    if (now) device = std::move(now);
  }
  auto difference = overlay::wireguard_difference(plan, device->peers);
  if (difference.set.empty() && difference.remove.empty()) return {};
  if (repairs) repairs->add("wireguard", difference.set.size() + difference.remove.size());
  // Who is to go goes first: of two peers with one address the kernel would give it to the later one.
  kernel::Batch batch = wireguard.remove_peers(kWireguardLink, difference.remove);
  for (auto& request : wireguard.set_peers(kWireguardLink, difference.set)) batch.push_back(std::move(request));
  return wireguard.socket().run(std::move(batch));
}

Result<std::vector<std::string>> ensure_locked(const Paths& paths, const WireguardNode& own, const std::string& self,
                                               const std::vector<WireguardNode>& nodes, Repairs* repairs) {
  FL_TRY(auto wireguard, Wireguard::open());
  if (!wireguard) return fail(kernel::kNoWireguard, ENOTSUP);
  FL_TRY(auto host, NetlinkSocket::open(NETLINK_ROUTE));
  FL_TRY(uint32_t mtu, underlay_mtu(host, own));
  auto plan = overlay::plan_wireguard(self, nodes, mtu);
  FL_TRY(Observed observed, look(host));
  FL_CHECK(refuse_foreign(observed));
  if (observed.links.empty()) {
    // What is behind the device stands before it.
    FL_CHECK(settle(host, plan, nullptr));
    kernel::Batch batch;
    batch.push_back(kernel::add_wireguard(kWireguardLink, plan.mtu));
    FL_CHECK(host.run(std::move(batch)));
    if (repairs) repairs->add("wireguard");
    repairs = nullptr;  // the rest belongs to it
  }
  FL_CHECK(ensure_device(paths, *wireguard, plan, repairs, plan.problems));
  FL_CHECK(settle(host, plan, repairs));
  return std::move(plan.problems);
}

}  // namespace

const std::string& missing_for_wireguard() {
  static std::string missing;
  static std::optional<std::chrono::steady_clock::time_point> asked_at;
  const auto now = std::chrono::steady_clock::now();
  if (asked_at && (missing.empty() || now - *asked_at < kAskAgain)) return missing;
  auto wireguard = Wireguard::open();
  missing = !wireguard ? wireguard.error().message : *wireguard ? "" : kernel::kNoWireguard;
  asked_at = now;
  return missing;
}

std::vector<WireguardNode> wireguard_nodes(const std::vector<Node>& nodes) {
  std::vector<WireguardNode> out;
  for (const auto& node : nodes) {
    WireguardNode n{node.name, node.number, node.address, overlay::kWireguardPort, {}};
    if (node.wireguard_port) n.port = static_cast<uint16_t>(node.wireguard_port);
    auto key = cluster::decode_public_key(node.wireguard_key, node.name);
    if (key && key->size() == n.key.size()) memcpy(n.key.data(), key->data(), n.key.size());
    out.push_back(std::move(n));
  }
  return out;
}

Result<std::vector<std::string>> ensure_wireguard(const Paths& paths, const std::string& self,
                                                  const std::vector<WireguardNode>& nodes, Repairs* repairs) {
  auto own = std::find_if(nodes.begin(), nodes.end(), [&](const auto& n) { return n.name == self; });
  if (own == nodes.end()) return fail("this node has no document in nodes/");
  FL_TRY(Fd held, lock(paths));
  auto done = ensure_locked(paths, *own, self, nodes, repairs);
  if (!done) return fail(done.error().with("WireGuard"));
  return done;
}

Result<void> remove_wireguard(const Paths& paths) {
  FL_TRY(Fd held, lock(paths));
  FL_TRY(auto host, NetlinkSocket::open(NETLINK_ROUTE));
  FL_TRY(Observed observed, look(host));
  kernel::Batch batch;
  // The device first: what is behind it holds until the last packet.
  if (!observed.links.empty() && observed.links.front().kind == "wireguard")
    batch.push_back(kernel::delete_link(observed.links.front().index, kWireguardLink));
  for (auto& repair : overlay::stale_wireguard_routes({}, observed.routes)) batch.push_back(std::move(repair.request));
  return host.run(std::move(batch));
}

}  // namespace fairlead::agent
