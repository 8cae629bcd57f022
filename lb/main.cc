// fairlead-lb: services of the state directory → balancers in the routers, published ports on the host, health checks.
#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include <chrono>
#include <csignal>
#include <cstdio>

#include "base/daemon.h"
#include "base/log.h"
#include "lb/controller.h"
#include "lb/settings.h"

namespace {

using namespace fairlead;

constexpr const char* kUsage =
    "usage: fairlead-lb [--balancer ipvs|nft|auto] [--state-dir DIR] [--run-dir DIR] [--log-level LEVEL]\n"
    "Balances services of this node's networks and publishes their ports.\n"
    "--balancer: auto (the default) takes ipvs when the kernel has it, otherwise nft. Without the option the key\n"
    "\"balancer\" of STATE/node.json decides.\n";

// Five descriptors per router and one per health check on its way; the usual soft limit of 1024 is for select(2).
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

// Runs until a signal asks for the end.
Result<void> serve(lb::Controller& controller, int signals) {
  using Clock = std::chrono::steady_clock;
  auto next = Clock::now() + std::chrono::milliseconds(lb::kTickMs);
  for (;;) {
    pollfd fds[] = {{signals, POLLIN, 0}, {controller.view_fd(), POLLIN, 0}, {controller.health_fd(), POLLIN, 0}};
    auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(next - Clock::now()).count();
    if (::poll(fds, std::size(fds), static_cast<int>(std::max<int64_t>(0, wait))) < 0 && errno != EINTR)
      return fail_errno("wait for", "events");
    if (fds[0].revents) {
      signalfd_siginfo signal{};
      if (::read(signals, &signal, sizeof signal) == sizeof signal && signal.ssi_signo != SIGHUP) return {};
    }
    if (fds[1].revents) controller.on_documents();
    if (fds[2].revents) controller.on_health();
    if (Clock::now() < next) continue;
    controller.on_tick();
    next = Clock::now() + std::chrono::milliseconds(lb::kTickMs);
  }
}

Result<void> run(const DaemonOptions& options) {
  Paths paths = Paths::from_environment();
  FL_TRY(auto wanted, lb::balancer_wanted(options.rest, paths));
  FL_TRY(auto kind, lb::choose_balancer(wanted));
  FL_TRY(Fd signals, open_signals());
  raise_descriptor_limit();
  lb::Controller controller(paths, kind);
  // First, because it makes sure that there is only one of us.
  FL_TRY(auto server, StatusServer::start(
                          paths.socket("lb"), [&] { return lb::metrics_text(controller.snapshot()); },
                          [&] { return lb::status_json(controller.snapshot()); }));
  FL_CHECK(controller.start());
  log_info(std::string("ready; balancer ") + lb::balancer_name(kind));
  notify_systemd("READY=1");
  FL_CHECK(serve(controller, signals.get()));
  notify_systemd("STOPPING=1");
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  auto options = parse_daemon_options(argc, argv);
  if (!options) {
    fprintf(stderr, "fairlead-lb: %s\n%s", options.error().message.c_str(), kUsage);
    return 2;
  }
  if (options->help) {
    fputs(kUsage, stdout);
    return 0;
  }
  if (options->version) {
    puts("fairlead-lb " FAIRLEAD_VERSION);
    return 0;
  }
  auto result = run(*options);
  if (result) return 0;
  fprintf(stderr, "fairlead-lb: %s\n", result.error().message.c_str());
  return result.error().sys == EINVAL ? 2 : 1;
}
