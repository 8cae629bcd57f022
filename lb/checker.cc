#include "lb/checker.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <chrono>
#include <set>

#include "base/log.h"
#include "kernel/netns.h"
#include "lb/check_connection.h"
#include "lb/health.h"

namespace fairlead::lb {
namespace {

int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

void ring(const Fd& event) {
  uint64_t one = 1;
  [[maybe_unused]] ssize_t n = ::write(event.get(), &one, sizeof one);
}
void hush(const Fd& event) {
  uint64_t count = 0;
  [[maybe_unused]] ssize_t n = ::read(event.get(), &count, sizeof count);
}

// Where in its interval a backend's checks lie, so that a restart does not make all of them at once.
uint32_t phase(const BackendName& name, uint32_t interval_ms) {
  return static_cast<uint32_t>(std::hash<std::string>{}(std::get<1>(name) + std::get<2>(name)) % interval_ms);
}

}  // namespace

bool HealthTarget::same_check(const HealthTarget& o) const {
  const HealthCheck &a = config, &b = o.config;
  return netns == o.netns && address == o.address && port == o.port && a.type == b.type && a.path == b.path &&
         a.host == b.host && a.interval_ms == b.interval_ms && a.timeout_ms == b.timeout_ms &&
         a.unhealthy_after == b.unhealthy_after && a.healthy_after == b.healthy_after;
}

// The thread. Every entry waits in times_: for its next check, or, while a check is on its way, for its deadline.
class HealthChecker::Loop {
 public:
  Loop(HealthChecker& owner, Fd epoll) : owner_(owner), epoll_(std::move(epoll)) {}
  void run();

 private:
  struct Entry {
    BackendName name;
    HealthTarget target;
    HealthState state;
    std::optional<CheckConnection> check;
    int64_t started_ms = 0;
    int64_t due_ms = 0;
  };

  void adopt(const HealthTargets& targets);
  void schedule(uint64_t id, int64_t due_ms);
  void forget(uint64_t id);
  void on_time(int64_t now);
  void start_checks(const std::vector<uint64_t>& ids);
  void start_check(uint64_t id, Entry& entry);
  void step(uint64_t id, Entry& entry);
  void finish(uint64_t id, Entry& entry, CheckResult result);
  void watch(uint64_t id, const Entry& entry, int operation);

  HealthChecker& owner_;
  Fd epoll_;
  uint64_t next_id_ = 1;  // 0: the wake event
  std::map<uint64_t, Entry> entries_;
  std::map<BackendName, uint64_t> ids_;
  std::set<std::pair<int64_t, uint64_t>> times_;
};

void HealthChecker::Loop::run() {
  epoll_event wake{EPOLLIN, {}};
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, owner_.wake_.get(), &wake);
  epoll_event events[256];
  while (!owner_.end_) {
    int64_t now = now_ms();
    int64_t wait = times_.empty() ? 60000 : std::max<int64_t>(0, times_.begin()->first - now);
    int n = ::epoll_wait(epoll_.get(), events, std::size(events), static_cast<int>(std::min<int64_t>(wait, 60000)));
    for (int i = 0; i < n; i++) {
      const uint64_t id = events[i].data.u64;  // a copy: the structure is packed, a reference would be misaligned
      if (id == 0) {
        hush(owner_.wake_);
        continue;
      }
      auto entry = entries_.find(id);
      if (entry != entries_.end() && entry->second.check) step(entry->first, entry->second);
    }
    std::shared_ptr<const HealthTargets> targets;
    {
      std::lock_guard lock(owner_.mutex_);
      targets = std::move(owner_.targets_);
      owner_.targets_.reset();
    }
    if (targets) adopt(*targets);
    on_time(now_ms());
  }
}

void HealthChecker::Loop::schedule(uint64_t id, int64_t due_ms) {
  Entry& entry = entries_.at(id);
  times_.erase({entry.due_ms, id});
  entry.due_ms = due_ms;
  times_.insert({due_ms, id});
}

void HealthChecker::Loop::forget(uint64_t id) {
  auto entry = entries_.find(id);
  times_.erase({entry->second.due_ms, id});
  ids_.erase(entry->second.name);
  entries_.erase(entry);
}

void HealthChecker::Loop::adopt(const HealthTargets& targets) {
  std::vector<uint64_t> gone;
  for (const auto& [name, id] : ids_) {
    auto target = targets.find(name);
    if (target == targets.end() || !target->second.same_check(entries_.at(id).target)) gone.push_back(id);
  }
  std::map<BackendName, bool> verdicts;  // of targets whose check changes, and that may stay what they are
  for (auto id : gone) {
    verdicts[entries_.at(id).name] = entries_.at(id).state.healthy();
    forget(id);
  }
  int64_t now = now_ms();
  for (const auto& [name, target] : targets) {
    if (ids_.count(name)) continue;
    uint64_t id = next_id_++;
    auto before = verdicts.find(name);
    bool healthy = before != verdicts.end() ? before->second : target.healthy;
    int64_t first = healthy ? now + phase(name, target.config.interval_ms) : now;
    ids_[name] = id;
    entries_.emplace(id, Entry{name, target, HealthState(target.config, healthy, first), std::nullopt, 0, first});
    times_.insert({first, id});
  }
}

void HealthChecker::Loop::on_time(int64_t now) {
  std::vector<uint64_t> due;
  for (auto it = times_.begin(); it != times_.end() && it->first <= now; ++it) due.push_back(it->second);
  std::vector<uint64_t> start;
  for (auto id : due) {
    Entry& entry = entries_.at(id);
    if (entry.check)
      finish(id, entry, CheckResult::kTimedOut);
    else
      start.push_back(id);
  }
  start_checks(start);
}

// Entering a namespace costs more than a socket: once per router and round.
void HealthChecker::Loop::start_checks(const std::vector<uint64_t>& ids) {
  std::map<int, std::vector<uint64_t>> by_netns;
  for (auto id : ids) by_netns[entries_.at(id).target.netns->get()].push_back(id);
  for (const auto& [netns, list] : by_netns) {
    auto entered = kernel::in_netns(netns, [&, &members = list]() -> Result<void> {
      for (auto id : members) start_check(id, entries_.at(id));
      return {};
    });
    if (entered) continue;
    log_error("health checks: " + entered.error().message);
    for (auto id : list) schedule(id, now_ms() + entries_.at(id).target.config.interval_ms);
  }
}

void HealthChecker::Loop::start_check(uint64_t id, Entry& entry) {
  entry.started_ms = now_ms();
  auto check = CheckConnection::open(entry.target);
  if (!check) {
    log_warning("health check of " + entry.target.address.to_string() + " not made: " + check.error().message);
    schedule(id, entry.started_ms + entry.target.config.interval_ms);
    return;
  }
  owner_.checks_++;
  entry.check.emplace(std::move(*check));
  schedule(id, entry.started_ms + entry.target.config.timeout_ms);
  watch(id, entry, EPOLL_CTL_ADD);
  step(id, entry);
}

void HealthChecker::Loop::watch(uint64_t id, const Entry& entry, int operation) {
  epoll_event event{};
  event.events = entry.check->wants_write() ? EPOLLOUT : EPOLLIN;
  event.data.u64 = id;
  ::epoll_ctl(epoll_.get(), operation, entry.check->fd(), &event);
}

void HealthChecker::Loop::step(uint64_t id, Entry& entry) {
  bool wrote = entry.check->wants_write();
  if (auto result = entry.check->step())
    finish(id, entry, *result);
  else if (wrote != entry.check->wants_write())
    watch(id, entry, EPOLL_CTL_MOD);
}

void HealthChecker::Loop::finish(uint64_t id, Entry& entry, CheckResult result) {
  entry.check.reset();  // closing takes it out of epoll
  if (result != CheckResult::kGood) owner_.failures_++;
  bool changed = entry.state.observe(result, entry.started_ms, now_ms());
  schedule(id, entry.state.next_ms());
  if (!changed) return;
  {
    std::lock_guard lock(owner_.mutex_);
    owner_.changes_.emplace_back(entry.name, entry.state.healthy());
  }
  ring(owner_.changed_);
}

Result<std::unique_ptr<HealthChecker>> HealthChecker::start() {
  Fd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), changed(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!wake || !changed || !epoll) return fail_errno("open", "descriptors of the health checker");
  std::unique_ptr<HealthChecker> checker(new HealthChecker(std::move(wake), std::move(changed)));
  auto loop = std::make_shared<Loop>(*checker, std::move(epoll));
  checker->thread_ = std::thread([loop] { loop->run(); });
  return checker;
}

HealthChecker::~HealthChecker() {
  end_ = true;
  ring(wake_);
  if (thread_.joinable()) thread_.join();
}

void HealthChecker::set_targets(HealthTargets targets) {
  auto shared = std::make_shared<const HealthTargets>(std::move(targets));
  {
    std::lock_guard lock(mutex_);
    targets_ = std::move(shared);
  }
  ring(wake_);
}

std::vector<std::pair<BackendName, bool>> HealthChecker::take_changes() {
  hush(changed_);
  std::lock_guard lock(mutex_);
  return std::move(changes_);
}

}  // namespace fairlead::lb
