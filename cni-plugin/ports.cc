#include "cni-plugin/ports.h"

#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/fd.h"
#include "state/store.h"

namespace fairlead::plugin {
namespace {

using cni::cni_fail;
using cni::CniResult;
using Clock = std::chrono::steady_clock;

// A report usually comes within a few milliseconds; only when it does not, whether anybody is there to write it
// matters.
constexpr int kPatienceMs = 50;

// Looking costs some microseconds, an inotify descriptor 18 ms when it is closed: the kernel waits for all processors
// (fsnotify_destroy_group, fs/notify/group.c), also when it does so for a process that ends.
constexpr std::chrono::microseconds kQuickLook{300}, kSlowLook{5000};

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

PortWait::PortWait(const Paths& paths, const Endpoint& endpoint)
    : paths_(paths), network_(endpoint.network), attachment_(endpoint.key()), attempt_(endpoint.attempt) {}

uint32_t PortWait::draw_attempt() {
  uint32_t number = 0;
  while (number == 0)
    if (::getrandom(&number, sizeof number, 0) != sizeof number) number = 0;
  return number;
}

Result<bool> PortWait::answered(std::string* problem) const {
  FL_TRY(auto report, load_port_report(paths_, network_, attachment_));
  if (!report || report->attempt != attempt_) return false;
  *problem = report->problem;
  return report->answers || !report->problem.empty();
}

CniResult<void> PortWait::wait() const {
  const auto start = Clock::now();
  const auto patience = start + std::chrono::milliseconds(kPatienceMs),
             deadline = start + std::chrono::milliseconds(kPortsMs);
  bool somebody = false;
  for (auto now = start; now < deadline; now = Clock::now()) {
    std::string problem;
    FL_TRY(bool done, answered(&problem));
    if (done && problem.empty()) return {};
    if (done) return cni_fail(cni::kInvalidConfig, "portMappings: " + problem);
    if (!somebody && now >= patience) {
      somebody = lb_runs(paths_);
      if (!somebody)
        return cni_fail(cni::kOwnError,
                        "portMappings: fairlead-lb, which publishes ports, does not run on this node "
                        "(nobody answers on " +
                            paths_.socket("lb") + "); start it");
    }
    if (now < patience)
      std::this_thread::sleep_for(kQuickLook);
    else
      std::this_thread::sleep_for(kSlowLook);
  }
  return cni_fail(cni::kOwnError, "portMappings: fairlead-lb has not published the ports within " +
                                      std::to_string(kPortsMs / 1000) + " s; see `fairleadctl status` and its log");
}

}  // namespace fairlead::plugin
