#include "cni-plugin/network.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "kernel/netns.h"
#include "overlay/host_prefixes.h"
#include "state/node_name.h"
#include "state/store.h"

extern char** environ;

namespace fairlead::plugin {
namespace {

using cni::CniError;
using cni::CniResult;

constexpr int kRealiseMs = 60000;

// Runs program with arguments, nothing but /dev/null as stdin, and returns its exit status and what it said on stderr.
struct Finished {
  int status = 0;
  std::string errors;
};

Result<Finished> run_program(const std::string& program, std::vector<std::string> arguments) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make", "pipe");
  Fd reader(ends[0]), writer(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  // stdout is the runtime's: one JSON document and nothing else.
  posix_spawn_file_actions_adddup2(&actions, writer.get(), 1);
  posix_spawn_file_actions_adddup2(&actions, writer.get(), 2);
  std::vector<char*> argv;
  arguments.insert(arguments.begin(), program);
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  int rc = ::posix_spawn(&pid, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (rc != 0) return fail_errno("run", program, rc);
  writer.reset();

  Finished finished;
  char buffer[4096];
  for (pollfd p{reader.get(), POLLIN, 0};;) {
    int ready = ::poll(&p, 1, kRealiseMs);
    if (ready < 0 && errno == EINTR) continue;
    ssize_t n = ready == 1 ? ::read(reader.get(), buffer, sizeof buffer) : -1;
    if (ready == 0) ::kill(pid, SIGKILL);
    if (n <= 0) break;
    if (finished.errors.size() < 65536) finished.errors.append(buffer, static_cast<size_t>(n));
  }
  while (::waitpid(pid, &finished.status, 0) < 0 && errno == EINTR) {
  }
  return finished;
}

// what: of which network, for the message.
Result<void> run_agent(const Paths& paths, const std::string& what, const std::string& command,
                       const std::string& argument) {
  std::string agent = find_agent();
  if (agent.empty())
    return fail(what +
                ": fairlead-agent, which does it, was not found "
                "beside this plugin, in /usr/sbin, /usr/libexec/fairlead or /usr/local/sbin; install it");
  FL_TRY(auto finished, run_program(agent, {"--state-dir", paths.state, "--run-dir", paths.run, command, argument}));
  while (!finished.errors.empty() && finished.errors.back() == '\n') finished.errors.pop_back();
  if (WIFEXITED(finished.status) && WEXITSTATUS(finished.status) == 0) return {};
  if (WIFSIGNALED(finished.status))
    finished.errors += std::string("ended by signal ") + strsignal(WTERMSIG(finished.status));
  return fail(what + ": " + (finished.errors.empty() ? agent + " failed without a word" : finished.errors));
}

std::vector<Prefix> one_per_family(const std::vector<Prefix>& prefixes) {
  std::vector<Prefix> subnets;
  for (Prefix p : prefixes) {
    if (p.host_bits() < 3) continue;
    p.address = p.first();
    if (std::none_of(subnets.begin(), subnets.end(), [&](const Prefix& s) { return s.family() == p.family(); }))
      subnets.push_back(p);
  }
  return subnets;
}

}  // namespace

std::string find_agent() {
  char self[4096];
  ssize_t n = ::readlink("/proc/self/exe", self, sizeof self);
  std::string beside(self, n > 0 ? static_cast<size_t>(n) : 0);
  beside.resize(beside.rfind('/') == std::string::npos ? 0 : beside.rfind('/'));
  for (const std::string& folder :
       {beside, std::string("/usr/sbin"), std::string("/usr/libexec/fairlead"), std::string("/usr/local/sbin")}) {
    std::string path = folder + "/fairlead-agent";
    if (!folder.empty() && ::access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

CniResult<std::optional<Network>> ensure_network(const Paths& paths, const cni::Request& request, const Config& config,
                                                 const std::vector<Prefix>& granted) {
  FL_TRY(auto existing, load_network(paths, config.network.name));
  if (existing) return existing;
  Network network = config.network;
  if (network.subnets.empty()) network.subnets = subnets_of_ipam(*request.conf);
  if (network.subnets.empty()) network.subnets = one_per_family(granted);
  if (network.subnets.empty()) {
    if (config.ipam_type != kOwnIpam && granted.empty()) return std::optional<Network>();
    if (config.ipam_type != kOwnIpam)
      return cni::cni_fail(cni::kInvalidConfig, "network " + network.name + ": the IPAM plugin " + config.ipam_type +
                                                    " gave an address without a subnet; set the key \"subnets\"");
  }
  auto taken = overlay::host_prefixes();
  if (!taken) return fail(CniError(taken.error()));
  SubnetChoice choice;
  for (const auto& t : *taken) choice.taken.push_back(t.prefix);
  for (const auto& subnet : network.subnets)
    if (const auto* overlap = overlay::find_overlap(*taken, subnet))
      return cni::cni_fail(cni::kInvalidConfig, "network " + network.name + ": subnet " + subnet.to_string() +
                                                    " overlaps this node's " + overlap->what + "; choose another");
  FL_TRY(auto cluster, cluster_place(paths));
  if (cluster) {
    FL_CHECK(run_agent(paths, "make network " + network.name, "propose", encode(network)));
    return load_network(paths, network.name);
  }
  FL_TRY(auto created, create_network(paths, network, choice));
  return std::optional<Network>(created);
}

Result<std::optional<OpenRouter>> find_router(const Paths& paths, const std::string& network) {
  FL_TRY(auto record, load_router(paths, network));
  if (!record) return std::nullopt;
  auto netns = kernel::open_netns(kernel::netns_path(record->netns));
  if (!netns) {
    // ENOENT: gone; EINVAL: the pin of a namespace that died. Both are made anew.
    if (netns.error().sys == ENOENT || netns.error().sys == EINVAL) return std::nullopt;
    return fail(netns.error());
  }
  return OpenRouter{std::move(*record), std::move(*netns)};
}

CniResult<OpenRouter> ensure_router(const Paths& paths, const std::string& network) {
  // A bad document is as good as none: realise writes it again.
  auto router = find_router(paths, network);
  if (router && *router) return std::move(**router);
  FL_CHECK(run_agent(paths, "make the router of network " + network, "realise", network));
  FL_TRY(auto made, find_router(paths, network));
  if (!made) return cni::cni_fail(cni::kOwnError, "network " + network + ": its router vanished while it was made");
  return std::move(*made);
}

}  // namespace fairlead::plugin
