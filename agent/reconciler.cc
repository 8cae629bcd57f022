#include "agent/reconciler.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "agent/cluster_documents.h"
#include "agent/endpoint_check.h"
#include "agent/host.h"
#include "agent/realise.h"
#include "agent/uplink_index.h"
#include "base/log.h"
#include "base/names.h"
#include "kernel/netns.h"
#include "overlay/names.h"
#include "overlay/router_plan.h"
#include "state/node_name.h"
#include "state/store.h"

namespace fairlead::agent {
namespace {

using namespace std::chrono_literals;

constexpr auto kRetry = 2s;
// Looks at routers in which nothing seemed to happen, per pass: settings the kernel sends no notification about.
constexpr int kSweepsPerPass = 2;
constexpr auto kSweepAge = 900ms;
constexpr size_t kEndpointsPerPass = 64;
constexpr auto kEndpointAge = 900ms;
constexpr int kSettingsTreeUses = 32;

// Why there must be no router for it on this node; "" for nothing.
std::string refusal_of(const StateView& view, const Network& network) {
  std::vector<Network> all;
  for (const auto& [name, other] : view.networks())
    if (other->encryption != network.encryption) all.push_back(*other);
  if (auto conflict = port_conflict(network, all); !conflict.empty()) return conflict;
  if (network.encryption == "none") return "";
  const auto& missing = network.encryption == "ipsec" ? missing_for_ipsec() : missing_for_wireguard();
  if (missing.empty()) return "";
  return "network " + network.name + ": encryption " + network.encryption + " is not possible on this node: " + missing;
}

std::string subject_of(const Endpoint& e) {
  return "network " + e.network + ", container " + std::string(short_id(e.container)) + " " + e.ifname;
}

}  // namespace

Result<std::unique_ptr<Reconciler>> Reconciler::open(Paths paths, Settings settings) {
  FL_TRY(auto host, HostWatch::open());
  return std::unique_ptr<Reconciler>(new Reconciler(std::move(paths), settings, std::move(host)));
}

void Reconciler::pass(const StateView& view, const Changes& changes, Clock::time_point now) {
  note_changes(changes);
  note_cluster(view, changes);
  note_host_changes();
  auto networks = needed(view, remove_old_routers(view));
  report_refusals(view, changes);
  check_walls(view, changes);
  if (!networks.empty()) check_host(view, networks);
  check_wireguard(view, networks, !changes.nodes.empty(), now);
  choose_sweeps(now);
  for (const auto& [name, endpoints] : networks)
    if (auto network = view.networks().find(name); network != view.networks().end())
      check_router(view, network->second, endpoints, now);
  release_walls(view, networks);
  check_endpoints(view, now);
  report("leases", collector_.sweep(view, now));
  describe(view, networks);
}

void Reconciler::note_changes(const Changes& changes) {
  for (const auto& name : changes.networks)
    if (auto entry = routers_.find(name); entry != routers_.end()) entry->second.dirty = true;
  for (const auto& name : changes.routers)
    if (auto entry = routers_.find(name); entry != routers_.end()) entry->second.dirty = true;
  for (const auto& [network, node] : changes.blocks)
    if (auto entry = routers_.find(network); entry != routers_.end()) entry->second.dirty = true;
  if (changes.nodes.empty()) return;
  for (auto& [name, entry] : routers_) entry.dirty = true;
}

// Which node this is, asked only where there are several. The host's rules name nodes and networks.
void Reconciler::note_cluster(const StateView& view, const Changes& changes) {
  const bool cluster = !view.nodes().empty();
  if (cluster != !self_.empty() || !changes.nodes.empty()) {
    auto name = cluster ? node_name(paths_) : Result<std::string>("");
    report("node", name ? Result<void>() : fail(name.error()));
    host_dirty_ = host_dirty_ || self_ != name.value_or("") || !changes.nodes.empty();
    self_ = name.value_or("");
  }
  if (cluster && !changes.networks.empty()) host_dirty_ = true;
}

void Reconciler::note_host_changes() {
  auto changed = host_watch_.changed();
  if (!changed) return report("host", fail(changed.error()));
  if (changed->firewall || changed->links || changed->everything) host_dirty_ = true;
  if (changed->firewall || changed->everything) firewall_touched_ = true;
  for (auto& [name, entry] : routers_)
    if (changed->everything || changed->uplinks.count(entry.uplink)) entry.dirty = true;
}

std::map<std::string, Reconciler::EndpointList> Reconciler::needed(const StateView& view,
                                                                   const std::set<std::string>& removed) const {
  std::map<std::string, EndpointList> networks;
  for (const auto& [name, router] : view.routers())
    if (!removed.count(name)) networks[name];
  for (const auto& [key, endpoint] : view.endpoints()) networks[key.first].push_back(endpoint);
  return networks;
}

void Reconciler::check_host(const StateView& view, const std::map<std::string, EndpointList>& networks) {
  bool v6 = false;
  for (const auto& [name, network] : view.networks())
    v6 = v6 || (networks.count(name) && overlay::uses_family(*network, AF_INET6));
  if (!host_dirty_ && host_forwards(v6)) return;
  Repairs repairs;
  auto done = ensure_host(paths_, v6, repairs);
  host_dirty_ = !done;
  count("host", repairs);
  report("host", done);
}

// After the host's rules and before the VXLAN devices whose packets it carries.
void Reconciler::check_wireguard(const StateView& view, const std::map<std::string, EndpointList>& networks,
                                 bool nodes_changed, Clock::time_point now) {
  const bool needed = std::any_of(networks.begin(), networks.end(), [&](const auto& entry) {
    auto network = view.networks().find(entry.first);
    return network != view.networks().end() && network->second->encryption == "wireguard";
  });
  const auto& pass = wireguard_.pass(view, self_, needed, nodes_changed, now);
  count("host", pass.repairs);
  report("WireGuard", pass.done);
  std::string text;
  for (const auto& problem : pass.problems) text += (text.empty() ? "WireGuard: " : "; ") + problem;
  report("WireGuard peers", text.empty() ? Result<void>() : fail(text));
}

// Of networks without a router here, too: whoever attaches the first container should not be the first to be told.
void Reconciler::report_refusals(const StateView& view, const Changes& changes) {
  if (changes.networks.empty() && refused_.empty()) return;
  std::set<std::string> refused;
  for (const auto& [name, network] : view.networks()) {
    auto refusal = refusal_of(view, *network);
    if (refusal.empty()) continue;
    refused.insert(name);
    report("network " + name, fail(refusal));
  }
  for (const auto& name : refused_)
    if (!refused.count(name)) report("network " + name, {});
  refused_ = std::move(refused);
}

void Reconciler::check_walls(const StateView& view, const Changes& changes) {
  if (!ipsec_ || !changes.networks.empty() || !changes.nodes.empty()) {
    ipsec_ = ipsec_facts_of(view, self_);
    egress_ = egress_facts_of(view, self_);
  }
  const bool held = walls_.has_value();
  const std::string missing = ipsec_->ports.empty() ? "" : missing_for_ipsec();
  Repairs repairs;
  walls_ = missing.empty() ? guard_.ensure(paths_, *ipsec_, firewall_touched_, repairs) : fail(missing);
  firewall_touched_ = firewall_touched_ && !walls_;
  // One more than is needed: where it cannot be, the others hold and the networks go on.
  report("egress wall", egress_wall_.ensure(paths_, egress_, repairs));
  count("host", repairs);
  // What the kernel lacks is said of each network that wants it.
  report("IPsec policies", missing.empty() ? walls_ : Result<void>());
  if (held == walls_.has_value()) return;
  host_dirty_ = true;
  for (auto& [name, entry] : routers_) entry.dirty = true;
}

void Reconciler::release_walls(const StateView& view, const std::map<std::string, EndpointList>& networks) {
  // A network whose document cannot be read, or whose router could not be brought up to date, may still need them.
  for (const auto& [name, endpoints] : networks) {
    auto router = routers_.find(name);
    if (!view.networks().count(name) || router == routers_.end() || router->second.dirty) return;
  }
  if (!ipsec_) return;
  auto released = guard_.release(paths_, *ipsec_);
  report("IPsec policies no longer needed", released.has_value() ? Result<void>() : fail(released.error()));
  if (released && *released) host_dirty_ = true;
  report("egress wall no longer needed", egress_wall_.release(paths_, egress_));
}

std::set<std::string> Reconciler::remove_old_routers(const StateView& view) {
  std::set<std::string> names, removed;
  std::error_code none;
  auto reserved = reserved_indexes(paths_);
  if (!reserved) return report("run directory", fail(reserved.error())), removed;
  for (const auto& [name, index] : *reserved) names.insert(name);
  for (const auto& [name, router] : view.routers()) names.insert(name);
  for (const auto& name : names) {
    if (view.networks().count(name) || !std::filesystem::is_directory(paths_.networks(), none)) continue;
    // A document that is there and bad does not mean that the network was removed.
    auto document = load_network(paths_, name);
    if (!document || *document) continue;
    routers_.erase(name);
    auto done = unrealise(paths_, name);
    if (done) {
      log_info("network " + name + ": removed; its router is gone");
      removed.insert(name);
    }
    report("network " + name, done);
  }
  return removed;
}

void Reconciler::choose_sweeps(Clock::time_point now) {
  std::vector<RouterEntry*> oldest;
  for (auto& [name, entry] : routers_)
    if (!entry.dirty && now - entry.looked_at >= kSweepAge) oldest.push_back(&entry);
  auto end = oldest.begin() + std::min<std::ptrdiff_t>(kSweepsPerPass, std::ssize(oldest));
  std::partial_sort(oldest.begin(), end, oldest.end(),
                    [](const auto* a, const auto* b) { return a->looked_at < b->looked_at; });
  std::for_each(oldest.begin(), end, [](RouterEntry* entry) { entry->dirty = true; });
}

bool Reconciler::needs_work(RouterEntry& entry, const std::string& name, Clock::time_point now) {
  if (now < entry.retry_at) return false;
  if (!entry.watch) return true;
  if (auto changed = entry.watch->changed(); !changed || *changed) entry.dirty = true;
  if (entry.dirty) return true;
  auto network = networks_.find(name);
  return network == networks_.end() || !entry.watch->has_name(kernel::netns_path(network->second.router));
}

// A tree remembers every namespace it was used in (kernel/sysctl.h), so it is not used for ever.
const kernel::SysctlTree& Reconciler::settings_tree() {
  if (!settings_tree_ || ++settings_tree_uses_ > kSettingsTreeUses) {
    settings_tree_ = kernel::SysctlTree::open();
    settings_tree_uses_ = 0;
  }
  return *settings_tree_;
}

void Reconciler::check_router(const StateView& view, const std::shared_ptr<const Network>& network,
                              const EndpointList& endpoints, Clock::time_point now) {
  RouterEntry& entry = routers_[network->name];
  if (!needs_work(entry, network->name, now)) return;
  if (const std::string refusal = refusal_of(view, *network); !refusal.empty()) {
    entry.retry_at = now + kRetry;
    return report("network " + network->name, fail(refusal));
  }
  RealiseRequest request{settings_tree(), network, endpoints, entry.watch ? entry.watch->netns() : -1, false, 0, {}};
  request.mesh = mesh_of(view, self_, *network);
  request.mesh_changed = request.mesh != entry.mesh;
  request.shield = shield_of(*network);
  auto done = realise(paths_, request);
  if (!done) {
    if (done.error().sys == EWOULDBLOCK) return;  // a `realise` is at it; next pass
    entry.retry_at = now + kRetry;
    return report("network " + network->name, fail(done.error()));
  }
  count("network " + network->name, done->repairs);
  report("network " + network->name, {});
  report_overlay(network->name, done->result.overlay, request.mesh);
  entry.mesh = std::move(request.mesh);
  entry.dirty = false;
  entry.looked_at = now;
  entry.uplink = done->router.uplink;
  entry.mtu = done->router.mtu;
  entry.host_ends.clear();
  for (const auto& link : done->result.observed.links)
    if (link.kind == "veth" && link.name.starts_with("c")) entry.host_ends[link.name] = link;
  auto same = entry.watch ? kernel::same_netns(entry.watch->netns(), done->result.netns.get()) : Result<bool>(false);
  if (same && *same) return;
  auto watch = RouterWatch::open(std::move(done->result.netns));
  if (!watch) return report("network " + network->name, fail(watch.error()));
  entry.watch = std::move(*watch);
}

// Encrypted packets leave only where what keeps them from leaving in the clear is known to be there.
Result<void> Reconciler::shield_of(const Network& network) const {
  if (network.encryption == "none") return {};
  if (network.encryption == "ipsec") return walls_;
  if (auto host = problems_.find("host"); host != problems_.end()) return fail(host->second);
  return wireguard_.last().done;
}

// The way to other nodes is no business of the containers here: its trouble has a line of its own.
void Reconciler::report_overlay(const std::string& network, const Result<void>& overlay,
                                const std::optional<overlay::Mesh>& mesh) {
  const std::string subject = "network " + network + " between nodes";
  if (!overlay) return report(subject, fail(overlay.error().with(subject)));
  if (mesh && !mesh->peers.empty() && !mesh->divided)
    return report(subject,
                  fail(subject + ": no node has a block of it, so nodes give the same addresses and have no way " +
                       "to each other's containers; write " + paths_.blocks(network) + "/NODE.json for each node"));
  if (!mesh || mesh->unreachable.empty()) return report(subject, {});
  std::string names;
  for (const auto& name : mesh->unreachable) names += (names.empty() ? "" : ", ") + name;
  report(subject,
         fail(subject + ": " + names + " cannot be reached: the underlay address is not of this node's family (" +
              mesh->underlay.to_string() + "), or the number is this node's"));
}

const kernel::Link* Reconciler::host_end(const Endpoint& endpoint) const {
  auto router = routers_.find(endpoint.network);
  if (router == routers_.end()) return nullptr;
  auto link =
      router->second.host_ends.find(overlay::host_ifname(endpoint.network, endpoint.container, endpoint.ifname));
  return link == router->second.host_ends.end() ? nullptr : &link->second;
}

void Reconciler::check_endpoints(const StateView& view, Clock::time_point now) {
  struct Due {
    const Endpoint* endpoint;
    EndpointEntry* entry;
    bool attached;
  };
  std::vector<Due> due;
  for (const auto& [key, endpoint] : view.endpoints()) {
    EndpointEntry& entry = endpoint_entries_[key];
    if (now - entry.looked_at >= kEndpointAge) due.push_back({endpoint.get(), &entry, host_end(*endpoint) != nullptr});
  }
  std::erase_if(endpoint_entries_, [&](const auto& entry) {
    if (view.endpoints().count(entry.first)) return false;
    problems_.erase("endpoint " + entry.first.first + "/" + entry.first.second);
    return true;
  });
  // Those without a link first, then those that were not looked at for the longest time.
  auto end = due.begin() + std::min<std::ptrdiff_t>(kEndpointsPerPass, std::ssize(due));
  std::partial_sort(due.begin(), end, due.end(), [](const Due& a, const Due& b) {
    return a.attached != b.attached ? !a.attached : a.entry->looked_at < b.entry->looked_at;
  });
  for (auto i = due.begin(); i != end; ++i) check_one(view, *i->endpoint, *i->entry, now);
}

void Reconciler::check_one(const StateView& view, const Endpoint& endpoint, EndpointEntry& entry,
                           Clock::time_point now) {
  entry.looked_at = now;
  const std::string subject = "endpoint " + endpoint.network + "/" + endpoint.key();
  auto network = view.networks().find(endpoint.network);
  auto router = routers_.find(endpoint.network);
  if (network == view.networks().end() || router == routers_.end() || !router->second.watch)
    return collect(endpoint, now);
  // Its document says which namespace it was; without that what was seen with our link in it counts.
  if (endpoint.netns_inode) entry.seen = endpoint.netns_inode;
  Repairs repairs;
  auto state = check_endpoint({paths_, *network->second, endpoint, router->second.watch->netns(), router->second.mtu,
                               host_end(endpoint), entry.seen},
                              repairs);
  count(subject_of(endpoint), repairs);
  if (!state) return report(subject, fail(state.error().with(subject_of(endpoint))));
  report(subject, {});
  if (*state == EndpointState::kGone) return collect(endpoint, now);
  collector_.keep(endpoint);
}

void Reconciler::collect(const Endpoint& endpoint, Clock::time_point now) {
  report("endpoint " + endpoint.network + "/" + endpoint.key(), collector_.endpoint(endpoint, now));
}

void Reconciler::count(const std::string& subject, const Repairs& repairs) {
  if (!repairs.any()) return;
  repairs_.add(repairs);
  log_info(subject + ": put back " + repairs.to_string());
}

// A problem is logged when it appears, changes and goes; a library that retries must not fill the log.
void Reconciler::report(const std::string& subject, const Result<void>& result) {
  auto known = problems_.find(subject);
  if (result) {
    if (known == problems_.end()) return;
    problems_.erase(known);
    return log_info(subject + ": works again");
  }
  if (known != problems_.end() && known->second == result.error().message) return;
  problems_[subject] = result.error().message;
  log_error(result.error().message);
}

void Reconciler::describe(const StateView& view, const std::map<std::string, EndpointList>& networks) {
  networks_.clear();
  for (const auto& [name, endpoints] : networks) {
    NetworkStatus status;
    status.endpoints = endpoints.size();
    if (auto network = view.networks().find(name); network != view.networks().end()) {
      status.vni = network->second->vni;
      status.router = overlay::router_netns_name(network->second->vni);
    } else {
      status.problem = "its document is missing or bad";
    }
    if (auto router = routers_.find(name); router != routers_.end()) status.mtu = router->second.mtu;
    if (auto problem = problems_.find("network " + name); problem != problems_.end()) status.problem = problem->second;
    networks_[name] = std::move(status);
  }
}

}  // namespace fairlead::agent
