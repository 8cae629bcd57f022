// fairlead-agent: makes this node's kernel match the state directory and keeps it so; or, once for one network,
// `fairlead-agent realise NETWORK`.
#include <cstdio>
#include <string>

#include "agent/realise.h"
#include "base/daemon.h"
#include "base/log.h"
#include "state/paths.h"

namespace fairlead::agent {
namespace {

constexpr const char* kUsage =
    "usage: fairlead-agent [--state-dir DIR] [--run-dir DIR] [--log-level error|warning|info|debug]\n"
    "       fairlead-agent realise NETWORK\n";

int run(int argc, char** argv) {
  auto options = parse_daemon_options(argc, argv);
  if (!options) {
    fprintf(stderr, "fairlead-agent: %s\n%s", options.error().message.c_str(), kUsage);
    return 2;
  }
  if (options->help) return fputs(kUsage, stdout), 0;
  if (options->version) return puts("fairlead-agent " FAIRLEAD_VERSION), 0;
  const Paths paths = Paths::from_environment();
  Result<void> done;
  if (options->rest.size() == 2 && options->rest[0] == "realise") {
    done = realise_by_name(paths, options->rest[1]);
  } else {
    fputs(kUsage, stderr);
    return 2;
  }
  if (done) return 0;
  fprintf(stderr, "fairlead-agent: %s\n", done.error().message.c_str());
  return 1;
}

}  // namespace
}  // namespace fairlead::agent

int main(int argc, char** argv) { return fairlead::agent::run(argc, argv); }
