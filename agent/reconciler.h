// Makes this node's kernel match the state directory, again and again: for every network with a router document or
// endpoints here its router, the endpoints' attachments, and the host's part.
//
// Level-triggered: pass() looks at what is there, not at what happened; notifications only save it from looking where
// nothing changed, and routers are looked at in turn anyway. One network's trouble never stops the others: it
// becomes a line in problems() and is tried again.
// Cost of a pass when nothing changed: a few system calls per router, and the dumps of at most kEndpointsPerPass
// containers. Threads: one.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/collector.h"
#include "agent/egress_wall.h"
#include "agent/host_watch.h"
#include "agent/ipsec_guard.h"
#include "agent/repairs.h"
#include "agent/router_watch.h"
#include "agent/settings.h"
#include "agent/wireguard_keeper.h"
#include "base/result.h"
#include "kernel/rtnl.h"
#include "kernel/sysctl.h"
#include "overlay/mesh.h"
#include "state/paths.h"
#include "state/view.h"

namespace fairlead::agent {

class Reconciler {
 public:
  static Result<std::unique_ptr<Reconciler>> open(Paths paths, Settings settings);

  void pass(const StateView& view, const Changes& changes, Clock::time_point now);

  // Between passes, when wall_events() is readable: whoever flushed policies is answered at once.
  void repair_walls(const StateView& view) { check_walls(view, {}); }
  int wall_events() const { return guard_.events(); }

  // Whether what must not be seen of encrypted networks cannot leave (agent/ipsec_guard.h), as of the last pass; false
  // while there is no such network: the first one's walls are still to be made.
  bool walled() const { return ipsec_ && !ipsec_->ports.empty() && walls_; }

  struct NetworkStatus {
    std::string problem;  // empty: as it should be
    size_t endpoints = 0;
    uint32_t vni = 0, mtu = 0;
    std::string router;
  };
  const std::map<std::string, NetworkStatus>& networks() const { return networks_; }
  const std::map<std::string, std::string>& problems() const { return problems_; }  // subject → message
  const Repairs& repairs() const { return repairs_; }
  const std::string& self() const { return self_; }  // this node's name; empty: alone
  const Collector& collector() const { return collector_; }

 private:
  struct RouterEntry {
    std::optional<RouterWatch> watch;
    bool dirty = true;
    Clock::time_point looked_at{}, retry_at{};
    std::map<std::string, kernel::Link> host_ends;  // by name, as of the last look
    uint32_t mtu = 0;
    std::string uplink;
    std::optional<overlay::Mesh> mesh;  // as of the last look
  };
  struct EndpointEntry {
    std::optional<ino_t> seen;
    Clock::time_point looked_at{};
  };
  using EndpointList = std::vector<std::shared_ptr<const Endpoint>>;

  Reconciler(Paths paths, Settings settings, HostWatch host)
      : paths_(std::move(paths)),
        host_watch_(std::move(host)),
        collector_(paths_, settings.endpoint_grace),
        wireguard_(paths_) {}

  // The networks this node takes part in, with their endpoints here.
  std::map<std::string, EndpointList> needed(const StateView& view, const std::set<std::string>& removed) const;
  void note_changes(const Changes& changes);
  void note_cluster(const StateView& view, const Changes& changes);
  void note_host_changes();
  void report_refusals(const StateView& view, const Changes& changes);
  // IPsec policies, before any device that needs them; and away when none does any more.
  void check_walls(const StateView& view, const Changes& changes);
  void release_walls(const StateView& view, const std::map<std::string, EndpointList>& networks);
  void check_host(const StateView& view, const std::map<std::string, EndpointList>& networks);
  void check_wireguard(const StateView& view, const std::map<std::string, EndpointList>& networks, bool nodes_changed,
                       Clock::time_point now);
  // → the networks whose router was taken away now; the view does not know yet.
  std::set<std::string> remove_old_routers(const StateView& view);
  void choose_sweeps(Clock::time_point now);
  bool needs_work(RouterEntry& entry, const std::string& name, Clock::time_point now);
  void check_router(const StateView& view, const std::shared_ptr<const Network>& network, const EndpointList& endpoints,
                    Clock::time_point now);
  Result<void> shield_of(const Network& network) const;
  void report_overlay(const std::string& network, const Result<void>& overlay,
                      const std::optional<overlay::Mesh>& mesh);
  void check_endpoints(const StateView& view, Clock::time_point now);
  void check_one(const StateView& view, const Endpoint& endpoint, EndpointEntry& entry, Clock::time_point now);
  void collect(const Endpoint& endpoint, Clock::time_point now);
  const kernel::Link* host_end(const Endpoint& endpoint) const;
  const kernel::SysctlTree& settings_tree();
  void count(const std::string& subject, const Repairs& repairs);
  void report(const std::string& subject, const Result<void>& result);
  void describe(const StateView& view, const std::map<std::string, EndpointList>& networks);

  Paths paths_;
  std::string self_;
  HostWatch host_watch_;
  std::map<std::string, RouterEntry> routers_;
  std::map<ObjectKey, EndpointEntry> endpoint_entries_;
  std::map<std::string, NetworkStatus> networks_;
  std::map<std::string, std::string> problems_;
  Repairs repairs_;
  Collector collector_;
  WireguardKeeper wireguard_;
  std::optional<kernel::SysctlTree> settings_tree_;
  int settings_tree_uses_ = 0;
  bool host_dirty_ = true;
  bool firewall_touched_ = false;  // since the walls were looked at
  IpsecGuard guard_;
  std::optional<overlay::IpsecFacts> ipsec_;  // as the documents say
  EgressWall egress_wall_;
  overlay::EgressFacts egress_;  // as the documents say
  Result<void> walls_;
  std::set<std::string> refused_;  // networks
};

}  // namespace fairlead::agent
