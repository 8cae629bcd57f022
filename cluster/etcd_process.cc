#include "cluster/etcd_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/file.h"
#include "base/log.h"

namespace fairlead::cluster {
namespace {

// Not by PATH: what a daemon starts as root must not depend on who started it.
constexpr const char* kPrograms[] = {"/usr/bin/etcd", "/usr/local/bin/etcd"};
constexpr int64_t kRestartMs = 1000;
constexpr int kEndMs = 2000;

// In the child of a process with threads: async-signal-safe calls only.
[[noreturn]] void become_etcd(const char* program, const char* folder, char** argv, char** environment, pid_t parent) {
  sigset_t none;
  sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, nullptr);
  (void)signal(SIGPIPE, SIG_DFL);
  // With us, however we end: two etcds in one folder wait for one another.
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent || chdir(folder) != 0) _exit(126);
  int null = open("/dev/null", O_RDWR);
  if (null >= 0) (void)dup2(null, STDIN_FILENO);
  (void)close_range(3, ~0u, 0);
  execve(program, argv, environment);
  _exit(127);
}

}  // namespace

EtcdProcess::EtcdProcess(const Paths& paths, const Membership& self, std::function<void()> starting)
    : folder_(paths.run + "/etcd"),
      data_(paths.state + "/etcd"),
      self_(self),
      pki_(paths.state + "/pki"),
      starting_(std::move(starting)) {}

EtcdProcess::~EtcdProcess() {
  if (pid_ <= 0) return;
  (void)::kill(pid_, SIGTERM);
  const int64_t deadline = now_ms() + kEndMs;
  while (::waitpid(pid_, nullptr, WNOHANG) == 0) {
    if (now_ms() > deadline) (void)::kill(pid_, SIGKILL);
    ::usleep(10000);
  }
}

std::vector<std::string> EtcdProcess::arguments() const {
  HostPort peer = self_.address;
  peer.port++;
  const std::string url = "https://" + to_text(peer);
  return {"etcd", "--name=" + self_.name, "--data-dir=" + data_,
          // A socket in the current folder; a path in the URL is refused.
          "--listen-client-urls=unix://etcd.sock:0", "--advertise-client-urls=unix://etcd.sock:0",
          "--listen-peer-urls=" + url, "--initial-advertise-peer-urls=" + url,
          "--initial-cluster=" + self_.etcd_cluster, "--initial-cluster-token=" + self_.cluster,
          "--initial-cluster-state=" + std::string(self_.etcd_cluster == self_.name + "=" + url ? "new" : "existing"),
          "--peer-cert-file=" + pki_ + "/etcd-peer.pem", "--peer-key-file=" + pki_ + "/etcd-peer.pem",
          "--peer-trusted-ca-file=" + pki_ + "/etcd-ca.pem", "--peer-client-cert-auth",
          // The authority is for managers only, that is the proof. Where a connection comes from says nothing.
          "--experimental-peer-skip-client-san-verification", "--experimental-watch-progress-notify-interval=5s",
          "--auto-compaction-mode=revision", "--auto-compaction-retention=20000", "--strict-reconfig-check",
          "--logger=zap", "--log-outputs=stderr", "--log-level=error"};
}

Result<void> EtcdProcess::start() {
  for (const auto& folder : {folder_, data_}) {
    FL_CHECK(make_folders(folder, 0700));
  }
  FL_CHECK(remove_file(socket_path()));  // of one that was killed; etcd itself would stumble over it
  std::vector<std::string> words = arguments();
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const char* program = kPrograms[0];
  for (const char* candidate : kPrograms)
    if (::access(candidate, X_OK) == 0) program = candidate;
  char* environment[] = {nullptr};
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) return fail_errno("start", "etcd");
  if (pid_ == 0) become_etcd(program, folder_.c_str(), argv.data(), environment, parent);
  return {};
}

Result<void> EtcdProcess::tend() {
  int status = 0;
  if (pid_ > 0 && ::waitpid(pid_, &status, WNOHANG) == pid_) {
    pid_ = -1;
    constexpr int kNotFound = 127;
    if (WIFEXITED(status) && WEXITSTATUS(status) == kNotFound)
      log_error("etcd cannot be started: is it installed? (Debian: etcd-server)");
    else
      log_error("etcd has ended " +
                (WIFSIGNALED(status) ? "by signal " + std::to_string(WTERMSIG(status))
                                     : "with status " + std::to_string(WEXITSTATUS(status))) +
                "; it is started again");
  }
  if (pid_ > 0 || (started_ms_ && now_ms() < started_ms_ + kRestartMs)) return {};
  started_ms_ = now_ms();
  if (starting_) starting_();
  return start();
}

}  // namespace fairlead::cluster
