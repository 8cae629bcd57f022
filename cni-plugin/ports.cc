#include "cni-plugin/ports.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/file.h"
#include "state/store.h"

namespace fairlead::plugin {
namespace {

using cni::cni_fail;
using cni::CniResult;
using Clock = std::chrono::steady_clock;

// A report usually comes within a few milliseconds; only when it does not, whether anybody is there to write it
// matters.
constexpr int kPatienceMs = 50;

int left_ms(Clock::time_point deadline) {
  auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return left < 0 ? 0 : static_cast<int>(left);
}

// Whether somebody listens on fairlead-lb's socket. Its lock is not tried: having it even for a moment could turn away
// a fairlead-lb that is just starting.
bool lb_runs(const Paths& paths) {
  const std::string path = paths.socket("lb");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return true;  // cannot be told; the deadline will
  memcpy(address.sun_path, path.c_str(), path.size());
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
  return errno != ENOENT && errno != ECONNREFUSED;  // EAGAIN: it has more to do than it can accept
}

}  // namespace

PortWait::PortWait(const Paths& paths, const Endpoint& endpoint, Fd events)
    : paths_(paths),
      network_(endpoint.network),
      attachment_(endpoint.key()),
      attempt_(endpoint.attempt),
      events_(std::move(events)) {}

uint32_t PortWait::draw_attempt() {
  uint32_t number = 0;
  while (number == 0)
    if (::getrandom(&number, sizeof number, 0) != sizeof number) number = 0;
  return number;
}

Result<PortWait> PortWait::prepare(const Paths& paths, const Endpoint& endpoint) {
  const std::string folder = paths.ports(endpoint.network);
  Fd events(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!events) return fail_errno("start", "inotify");
  // A new document gets its name by link(2), a later one by rename(2).
  const uint32_t mask = IN_CREATE | IN_MOVED_TO | IN_ONLYDIR;
  int watch = ::inotify_add_watch(events.get(), folder.c_str(), mask);
  if (watch < 0 && errno == ENOENT) {
    FL_CHECK(make_folders(folder));
    watch = ::inotify_add_watch(events.get(), folder.c_str(), mask);
  }
  if (watch < 0) return fail_errno("watch folder", folder);
  return PortWait(paths, endpoint, std::move(events));
}

Result<bool> PortWait::answered(std::string* problem) const {
  FL_TRY(auto report, load_port_report(paths_, network_, attachment_));
  if (!report || report->attempt != attempt_) return false;
  *problem = report->problem;
  return report->answers || !report->problem.empty();
}

CniResult<void> PortWait::wait() const {
  const auto start = Clock::now();
  const auto deadline = start + std::chrono::milliseconds(kPortsMs);
  bool somebody = false;
  for (;;) {
    std::string problem;
    FL_TRY(bool done, answered(&problem));
    if (done && problem.empty()) return {};
    if (done) return cni_fail(cni::kInvalidConfig, "portMappings: " + problem);
    if (!somebody && Clock::now() >= start + std::chrono::milliseconds(kPatienceMs)) {
      somebody = lb_runs(paths_);
      if (!somebody)
        return cni_fail(cni::kOwnError,
                        "portMappings: fairlead-lb, which publishes ports, does not run on this node "
                        "(nobody answers on " +
                            paths_.socket("lb") + "); start it");
    }
    int wait = left_ms(somebody ? deadline : start + std::chrono::milliseconds(kPatienceMs));
    if (somebody && wait == 0) break;
    pollfd event{events_.get(), POLLIN, 0};
    if (::poll(&event, 1, wait) < 0 && errno != EINTR)
      return fail(cni::CniError(fail_errno("wait for", "a port report").value()));
    char drained[4096];
    while (::read(events_.get(), drained, sizeof drained) > 0) {
    }
  }
  return cni_fail(cni::kOwnError, "portMappings: fairlead-lb has not published the ports within " +
                                      std::to_string(kPortsMs / 1000) + " s; see `fairleadctl status` and its log");
}

}  // namespace fairlead::plugin
