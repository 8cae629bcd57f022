// fairlead-agent: makes this node's kernel match the state directory and keeps it so; or, once for one network,
// `fairlead-agent realise NETWORK`.
#include <cstdio>
#include <string>

#include "agent/daemon.h"
#include "agent/esp_in_udp.h"
#include "agent/propose.h"
#include "agent/realise.h"
#include "base/daemon.h"
#include "base/duration.h"
#include "base/log.h"
#include "state/paths.h"

namespace fairlead::agent {
namespace {

constexpr const char* kUsage =
    "usage: fairlead-agent [--state-dir DIR] [--run-dir DIR] [--log-level error|warning|info|debug]\n"
    "                      [--endpoint-grace DURATION] [--block-spare DURATION]\n"
    "       fairlead-agent [--state-dir DIR] [--run-dir DIR] realise NETWORK\n"
    "       fairlead-agent [--state-dir DIR] [--run-dir DIR] propose DOCUMENT\n"
    "\n"
    "Without a command: keeps this node's kernel as the state directory says, in the foreground, until SIGTERM.\n"
    "realise: makes the router of one network, once.\n"
    "propose: asks the cluster for a network of that document, unless there is one of its name.\n"
    "hold: what the agent starts to keep the UDP port of IPsec open (docs/encryption.md).\n"
    "--endpoint-grace: how long a dead endpoint, or a lease of a killed ADD, is kept for a DEL to come (60s).\n"
    "--block-spare: how long an address block is without a lease before the node gives it back (10m).\n";

bool read_settings(const std::vector<std::string>& arguments, Settings& settings) {
  if (arguments.size() % 2 != 0) return false;
  for (size_t i = 0; i < arguments.size(); i += 2) {
    auto* setting = arguments[i] == "--endpoint-grace" ? &settings.endpoint_grace
                    : arguments[i] == "--block-spare"  ? &settings.block_spare
                                                       : nullptr;
    auto duration = parse_duration(arguments[i + 1]);
    if (!setting || !duration) return false;
    *setting = std::chrono::milliseconds(*duration);
  }
  return true;
}

int run(int argc, char** argv) {
  auto options = parse_daemon_options(argc, argv);
  if (!options) {
    fprintf(stderr, "fairlead-agent: %s\n%s", options.error().message.c_str(), kUsage);
    return 2;
  }
  if (options->help) return fputs(kUsage, stdout), 0;
  if (options->version) return puts("fairlead-agent " FAIRLEAD_VERSION), 0;
  const Paths paths = Paths::from_environment();
  Settings settings;
  Result<void> done;
  if (options->rest.size() == 2 && options->rest[0] == "realise") {
    done = realise_by_name(paths, options->rest[1]);
  } else if (options->rest.size() == 2 && options->rest[0] == "propose") {
    done = propose_network(paths, options->rest[1]);
  } else if (options->rest.size() == 1 && options->rest[0] == "hold") {
    return run_esp_in_udp_holder();
  } else if (read_settings(options->rest, settings)) {
    done = run_daemon(paths, settings);
  } else {
    fputs(kUsage, stderr);
    return 2;
  }
  if (done) return 0;
  std::string message = done.error().message;
  for (auto& c : message)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';  // a name from outside may hold anything; the message is one line
  fprintf(stderr, "fairlead-agent: %s\n", message.c_str());
  return 1;
}

}  // namespace
}  // namespace fairlead::agent

int main(int argc, char** argv) { return fairlead::agent::run(argc, argv); }
