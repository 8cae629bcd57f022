#include "agent/daemon.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <mutex>

#include "agent/associations.h"
#include "agent/capacity.h"
#include "agent/cluster_member.h"
#include "agent/foreign_forward.h"
#include "agent/host.h"
#include "agent/host_record.h"
#include "agent/reconciler.h"
#include "agent/status.h"
#include "base/daemon.h"
#include "base/log.h"
#include "cluster/node_keys.h"

namespace fairlead::agent {
namespace {

using namespace std::chrono_literals;

// Twice in the two seconds within which drift has to be repaired, and once more for what shows up behind a repair.
constexpr auto kPassInterval = 500ms;
constexpr auto kRescanInterval = 60s;
constexpr auto kLegacyCheck = 30s;

class SharedText {
 public:
  void set(StatusText text) {
    std::lock_guard lock(mutex_);
    text_ = std::move(text);
  }
  StatusText get() const {
    std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  mutable std::mutex mutex_;
  StatusText text_{"", "{\"program\":\"fairlead-agent\",\"state\":\"starting\"}\n"};
};

Result<Fd> open_timer() {
  Fd fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!fd) return fail_errno("make", "timer");
  itimerspec every{};
  every.it_interval.tv_nsec = every.it_value.tv_nsec = std::chrono::nanoseconds(kPassInterval).count();
  if (::timerfd_settime(fd.get(), 0, &every, nullptr) != 0) return fail_errno("set", "timer");
  return fd;
}

// Four descriptors per router; the usual soft limit of 1024 is for programs that use select(2).
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

// Keys are in this process: no core dumps, nobody but root looks into it.
Result<void> protect_memory() {
  const rlimit none{0, 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0) return fail_errno("forbid", "core dumps");
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) return fail_errno("forbid", "looking into this process");
  return {};
}

enum class Wake { kPass, kRescan, kWalls, kStop };

// walls: Reconciler::wall_events(); one that is negative is not looked at.
Result<Wake> wait_for(const Fd& signals, const Fd& timer, int walls) {
  pollfd fds[] = {{signals.get(), POLLIN, 0}, {timer.get(), POLLIN, 0}, {walls, POLLIN, 0}};
  for (;;) {
    if (::poll(fds, 3, -1) < 0) {
      if (errno == EINTR) continue;
      return fail_errno("wait for", "events");
    }
    signalfd_siginfo info{};
    if (::read(signals.get(), &info, sizeof info) == sizeof info)
      return info.ssi_signo == SIGHUP ? Wake::kRescan : Wake::kStop;
    uint64_t ticks = 0;
    if (::read(timer.get(), &ticks, sizeof ticks) == sizeof ticks) return Wake::kPass;
    if (fds[2].revents) return Wake::kWalls;
  }
}

struct Loop {
  StateView& view;
  Reconciler& reconciler;
  SharedText& text;
  const Paths& paths;
  Clock::time_point rescan_at{}, legacy_at{};
  HostStatus host;
  CapacityWatch capacity{paths};
  std::atomic<bool> walled{false};
  AssociationKeeper associations{paths, walled};
  IpsecStatus ipsec{};

  void pass(bool rescan) {
    const auto begin = Clock::now();
    rescan = rescan || begin >= rescan_at;
    auto changes = rescan ? view.rescan() : view.refresh();
    if (rescan) rescan_at = begin + kRescanInterval;
    if (!changes) log_error(changes.error().message);
    if (begin >= legacy_at) {
      host.problems = legacy_problems();
      legacy_at = begin + kLegacyCheck;
    }
    reconciler.pass(view, changes.value_or(Changes{}), begin);
    walled = reconciler.walled();
    if (auto record = load_host_record(paths)) {
      host.opened4 = record->opened4.value_or(false);
      host.opened6 = record->opened6.value_or(false);
    }
    capacity.pass(view, begin);
    PoolStatus pools{capacity.metrics(), {}};
    for (auto& problem : capacity.problems()) pools.problems.emplace_back(problem.network, problem.message);
    HostStatus shown = host;
    for (const auto& [node, problem] : associations.problems())
      shown.problems.push_back("encrypted networks cannot send to node " + node + ": " + problem);
    ipsec.look(paths, view, reconciler.self(), associations.ways(), begin);
    auto described =
        describe(reconciler, view, shown, pools, ipsec, std::chrono::duration<double>(Clock::now() - begin).count());
    described.metrics += associations.metrics();
    text.set(std::move(described));
  }
};

}  // namespace

Result<void> run_daemon(const Paths& paths, const Settings& settings) {
  raise_descriptor_limit();
  FL_CHECK(protect_memory());
  FL_CHECK(cluster::check_node_keys(paths));
  FL_TRY(Fd signals, open_signals());
  SharedText text;
  // First, because it holds the lock that makes us the only one.
  FL_TRY(auto server,
         StatusServer::start(
             paths.socket("agent"), [&] { return text.get().metrics; }, [&] { return text.get().status; }));
  FL_TRY(auto view, StateView::open(paths));
  FL_TRY(auto reconciler, Reconciler::open(paths, settings));
  FL_CHECK(release_host(paths));  // left by one that ended between the last network and the host's part
  FL_TRY(Fd timer, open_timer());
  ClusterMember cluster(paths, settings.block_spare);
  cluster.tick();
  Loop loop{*view, *reconciler, text, paths};
  loop.pass(true);
  log_info("ready: " + std::to_string(reconciler->networks().size()) + " networks, " +
           std::to_string(view->endpoints().size()) + " endpoints");
  notify_systemd("READY=1");
  for (;;) {
    FL_TRY(Wake wake, wait_for(signals, timer, reconciler->wall_events()));
    if (wake == Wake::kStop) break;
    if (wake == Wake::kWalls) {
      reconciler->repair_walls(*view);
      continue;
    }
    cluster.tick();
    loop.pass(wake == Wake::kRescan);
  }
  notify_systemd("STOPPING=1");
  log_info("ends; the kernel stays as it is");
  return {};
}

}  // namespace fairlead::agent
