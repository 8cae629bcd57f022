// What every daemon needs: common options, signals as a file descriptor, readiness, and the status socket.
// Uses cpp-httplib on a root-only Unix socket (never reachable by containers); only daemons link fairlead_daemon.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace fairlead {

struct DaemonOptions {
  std::string state_dir, run_dir;  // empty: environment, then default
  std::vector<std::string> rest;   // arguments that are not common options
  bool help = false, version = false;
};
// --state-dir DIR --run-dir DIR --log-level LEVEL --help --version; others go to rest in order. Sets the log level and
// FAIRLEAD_STATE_DIR / FAIRLEAD_RUN_DIR, so that Paths::from_environment() sees them.
Result<DaemonOptions> parse_daemon_options(int argc, char** argv);

// Blocks SIGTERM, SIGINT, SIGHUP and returns a signalfd for them; ignores SIGPIPE. Call before starting threads.
Result<Fd> open_signals();

// "READY=1" and the like to systemd (sd_notify protocol, NOTIFY_SOCKET); nothing happens without systemd.
void notify_systemd(std::string_view state);

// GET /metrics (Prometheus text) and GET /status (JSON) on a Unix socket, mode 0660, served by its own thread.
// A second daemon on the same socket is refused (flock on path + ".lock"). Handlers are called from that thread.
class StatusServer {
 public:
  static Result<std::unique_ptr<StatusServer>> start(const std::string& socket_path,
                                                     std::function<std::string()> metrics,
                                                     std::function<std::string()> status);
  virtual ~StatusServer() = default;
};

// GET path from a daemon's socket, for fairleadctl. An error with sys ENOENT or ECONNREFUSED when it is not running.
Result<std::string> get_from_daemon(const std::string& socket_path, const std::string& path, int timeout_ms = 2000);

}  // namespace fairlead
