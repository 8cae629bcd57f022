// fairlead-lb's main thread: from changes in the state directory and from health to a plan, from the plan to the
// routers and the host, and every second a look whether all is still there.
//
// Level-triggered: every step computes the whole plan and applies differences; a failed step is tried again at the next
// tick. Nothing in the kernel is taken back when the process ends.
// Threads: all of it belongs to one thread, except snapshot(). Cost: a change costs one pass over the services and
// endpoints in memory and kernel requests for what differs.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "lb/checker.h"
#include "lb/drain.h"
#include "lb/health_book.h"
#include "lb/host_control.h"
#include "lb/plan.h"
#include "lb/port_reports.h"
#include "lb/report.h"
#include "lb/router_control.h"
#include "state/view.h"

namespace fairlead::lb {

inline constexpr int kTickMs = 250;

class Controller {
 public:
  Controller(const Paths& paths, BalancerKind kind);
  // Reads the directory and applies everything once. Nothing else may be called before, except snapshot().
  Result<void> start();

  int view_fd() const { return view_->fd(); }
  int health_fd() const { return checker_->fd(); }
  // Something happened in the state directory.
  void on_documents();
  // The checker has verdicts.
  void on_health();
  // Every kTickMs: drains, load, repairs, and what failed last time.
  void on_tick();

  Report snapshot() const;  // any thread

 private:
  void update();
  Plan make();
  void apply_router(const RouterPlan& plan);
  void repair();
  void look_at_drains();
  void watch_health();
  std::optional<Verdict> remote_verdict(const Service& service, const Endpoint& endpoint) const;
  void report_ports();
  void settle();
  Realised realised(const std::string& network, const MappingPlan& mapping) const;
  Standing standing(const Service& service, const Endpoint& endpoint, uint8_t protocol, int64_t now);
  void publish();
  void set_error(const std::string& object, const std::optional<Error>& error);
  bool has_errors() const { return !errors_.empty(); }

  Paths paths_;
  BalancerKind kind_;
  std::unique_ptr<StateView> view_;
  std::unique_ptr<HostControl> host_;
  std::map<std::string, std::unique_ptr<RouterControl>> routers_;  // by network
  DrainClock drains_;
  std::unique_ptr<HealthChecker> checker_;
  std::atomic<const HealthChecker*> counters_{nullptr};  // checker_, for snapshot()
  HealthBook health_;
  std::map<ObjectKey, ServiceHealth> health_written_;
  PortReports port_reports_;
  Incumbents incumbents_;
  Plan plan_;                                  // last made
  std::map<std::string, RouterPlan> applied_;  // last applied without error
  std::map<std::string, std::vector<Refusal>> refusals_;
  std::map<std::string, std::string> errors_;  // object → message
  std::map<std::string, uint64_t> repairs_;    // kind → count
  uint64_t applies_ = 0, failures_ = 0;
  unsigned ticks_ = 0;
  mutable std::mutex mutex_;
  std::shared_ptr<const Report> report_;  // written under mutex_, by this thread only
};

}  // namespace fairlead::lb
