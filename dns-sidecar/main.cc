#include <charconv>
#include <cstdio>
#include <exception>

#include "base/log.h"
#include "dns-sidecar/server.h"

namespace fairlead::dns {
namespace {

constexpr const char* kUsage =
    "usage: fairlead-dns [--state-dir DIR] [--run-dir DIR] [--log-level LEVEL]\n"
    "                    [--resolv-conf FILE] [--workers N] [--max-forwarded N]\n"
    "The DNS server of Fairlead's containers: listens on the gateway addresses inside the routers of this node.\n"
    "  --resolv-conf FILE   the host's resolvers (default /etc/resolv.conf)\n"
    "  --workers N          threads that answer (default: as many as processors, at most 4)\n"
    "  --max-forwarded N    questions in flight to resolvers (default 1024)\n";

Result<size_t> number(const std::string& key, const std::string& text, size_t max) {
  size_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > max)
    return fail(key + ": expected a number from 1 to " + std::to_string(max) + ", found \"" + text + "\"");
  return value;
}

Result<ServerOptions> read_options(const std::vector<std::string>& arguments) {
  ServerOptions options;
  for (size_t i = 0; i < arguments.size(); i++) {
    const std::string key = arguments[i].substr(0, arguments[i].find('='));
    if (key != "--resolv-conf" && key != "--workers" && key != "--max-forwarded")
      return fail(arguments[i] + ": unknown argument; see --help");
    std::string value;
    if (key.size() < arguments[i].size())
      value = arguments[i].substr(key.size() + 1);
    else if (i + 1 < arguments.size())
      value = arguments[++i];
    if (key == "--resolv-conf") {
      options.resolv_conf = value;
    } else if (key == "--workers") {
      FL_TRY(options.workers, number(key, value, 64));
    } else {
      FL_TRY(options.limits.exchanges, number(key, value, 32768));
      options.limits.waiters = options.limits.exchanges * 8;
    }
  }
  options.paths = Paths::from_environment();
  return options;
}

int run(int argc, char** argv) {
  auto daemon = parse_daemon_options(argc, argv);
  if (daemon && daemon->help) {
    fputs(kUsage, stdout);
    return 0;
  }
  if (daemon && daemon->version) {
    puts("fairlead-dns " FAIRLEAD_VERSION);
    return 0;
  }
  auto options = daemon ? read_options(daemon->rest) : fail(daemon.error());
  if (!options) {
    fprintf(stderr, "fairlead-dns: %s\n", options.error().message.c_str());
    return 2;
  }
  auto server = Server::open(*options);
  if (!server) {
    log_error(server.error().message);
    return 1;
  }
  auto done = (*server)->run();
  if (!done) log_error(done.error().message);
  return done ? 0 : 1;
}

}  // namespace
}  // namespace fairlead::dns

int main(int argc, char** argv) {
  try {
    return fairlead::dns::run(argc, argv);
  } catch (const std::exception& e) {
    fprintf(stderr, "fairlead-dns: %s\n", e.what());
    return 70;
  }
}
