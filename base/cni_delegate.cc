#include "base/cni_delegate.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <array>
#include <cerrno>
#include <cstring>

#include <nlohmann/json.hpp>

#include "base/duration.h"
#include "base/fd.h"

extern char** environ;

namespace fairlead::cni {
namespace {

constexpr size_t kKeptStderr = 1024;

struct Pipe {
  Fd read, write;
};

Result<Pipe> open_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return fail_errno("make", "a pipe");
  return Pipe{Fd(fds[0]), Fd(fds[1])};
}

// A plugin need not read its stdin; writing to it then must be an error, not our death.
class NoSigpipe {
 public:
  NoSigpipe() : before_(::signal(SIGPIPE, SIG_IGN)) {}
  ~NoSigpipe() { ::signal(SIGPIPE, before_); }
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;

 private:
  sighandler_t before_;
};

// Shared with the child until it execs (CLONE_VFORK), so everything is prepared beforehand.
struct Start {
  const char* path;
  char* const* argv;
  char* const* envp;
  int in, out, err;
  pid_t parent;
  int failed = 0;
};

int child_main(void* argument) {
  auto& start = *static_cast<Start*>(argument);
  ::signal(SIGPIPE, SIG_DFL);
  // An IPAM that went on after our death could finish its ADD behind the DEL that follows.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setpgid(0, 0);  // so that what it starts can be ended with it
  if (::getppid() == start.parent && ::dup2(start.in, 0) >= 0 && ::dup2(start.out, 1) >= 0 &&
      ::dup2(start.err, 2) >= 0) {
    ::closefrom(3);  // a child has its own descriptor table; ours stays open
    ::execve(start.path, start.argv, start.envp);
  }
  start.failed = errno;
  ::_exit(127);
}

Result<pid_t> start_child(Start& start, const std::string& path) {
  alignas(16) static std::array<char, 65536> stack;
  // "Text file busy": somebody is replacing the plugin right now (libcni waits for it, too).
  for (int attempt = 0;; attempt++) {
    start.failed = 0;
    pid_t pid = ::clone(child_main, stack.data() + stack.size(), CLONE_VM | CLONE_VFORK | SIGCHLD, &start);
    if (pid < 0) return fail_errno("start", path);
    if (start.failed == 0) return pid;
    ::waitpid(pid, nullptr, 0);
    if (start.failed != ETXTBSY || attempt == 20) return fail_errno("run", path, start.failed);
    timespec nap{0, 100'000'000};
    ::nanosleep(&nap, nullptr);
  }
}

int64_t now_ms() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct Output {
  std::string out, err;  // err: its last bytes
  int status = 0;
};

class Conversation {
 public:
  Conversation(pid_t pid, Fd in, Fd out, Fd err, std::string_view text, const DelegateLimits& limits)
      : pid_(pid), in_(std::move(in)), out_(std::move(out)), err_(std::move(err)), text_(text), limits_(limits) {
    for (const Fd* fd : {&in_, &out_, &err_}) ::fcntl(fd->get(), F_SETFL, O_NONBLOCK);
    // Not glibc's wrapper: 2.36 declares it without extern "C".
    pidfd_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  }
  // Ended and waited for on every way out. Its outputs stay open: SIGPIPE would come before it could clean up.
  ~Conversation() {
    if (pid_ <= 0) return;
    ::kill(-pid_, SIGTERM);
    if (pidfd_) {
      pollfd p{pidfd_.get(), POLLIN, 0};
      (void)::poll(&p, 1, limits_.term_ms);
    }
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  Result<Output> run() {
    int64_t end = now_ms() + limits_.timeout_ms;
    bool exited = false;
    while (!exited && (out_ || err_)) {
      pollfd polled[4] = {{in_ ? in_.get() : -1, POLLOUT, 0},
                          {out_ ? out_.get() : -1, POLLIN, 0},
                          {err_ ? err_.get() : -1, POLLIN, 0},
                          {pidfd_ ? pidfd_.get() : -1, POLLIN, 0}};
      int64_t left = end - now_ms();
      if (left <= 0)
        return fail(
            "gave no answer within " + duration_text(static_cast<uint32_t>(limits_.timeout_ms)) + " and was killed",
            ETIMEDOUT);
      if (::poll(polled, 4, static_cast<int>(left)) < 0 && errno != EINTR) return fail_errno("poll", "pipes");
      if (polled[0].revents) feed();
      // A process it left behind may hold stdout open; what counts is that the plugin itself has ended.
      exited = (polled[3].revents & POLLIN) != 0;
      if (exited || polled[1].revents) FL_CHECK(take(out_, output_.out, true));
      if (exited || polled[2].revents) FL_CHECK(take(err_, output_.err, false));
    }
    FL_CHECK(wait_until(end));
    return std::move(output_);
  }

 private:
  void feed() {
    ssize_t n = ::write(in_.get(), text_.data(), text_.size());
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n > 0) text_.remove_prefix(static_cast<size_t>(n));
    if (n < 0 || text_.empty()) in_.reset();
  }

  Result<void> take(Fd& fd, std::string& to, bool is_stdout) {
    char buffer[4096];
    while (fd) {
      ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return {};
      if (n <= 0) {
        fd.reset();
        return {};
      }
      to.append(buffer, static_cast<size_t>(n));
      if (is_stdout && to.size() > limits_.stdout_bytes)
        return fail("printed more than " + std::to_string(limits_.stdout_bytes) + " bytes", EFBIG);
      if (is_stdout) continue;
      (void)write_all(2, {buffer, static_cast<size_t>(n)}, "stderr");
      if (to.size() > kKeptStderr) to.erase(0, to.size() - kKeptStderr);
    }
    return {};
  }

  // It closed its outputs and may still be running.
  Result<void> wait_until(int64_t end) {
    if (pidfd_) {
      pollfd p{pidfd_.get(), POLLIN, 0};
      int64_t left = end - now_ms();
      if (::poll(&p, 1, static_cast<int>(left > 0 ? left : 0)) == 0)
        return fail("did not end in time and was killed", ETIMEDOUT);
    }
    while (::waitpid(pid_, &output_.status, 0) < 0)
      if (errno != EINTR) return fail_errno("wait for", "process " + std::to_string(pid_));
    pid_ = -1;
    return {};
  }

  pid_t pid_;
  Fd in_, out_, err_, pidfd_;
  std::string_view text_;
  DelegateLimits limits_;
  Output output_;
};

Result<Output> converse(const std::string& path, const Request& request, std::string_view command,
                        const DelegateLimits& limits) {
  std::string command_variable = "CNI_COMMAND=" + std::string(command);
  std::vector<char*> envp;
  for (char** e = environ; *e; ++e)
    if (strncmp(*e, "CNI_COMMAND=", 12) != 0) envp.push_back(*e);
  envp.push_back(command_variable.data());
  envp.push_back(nullptr);
  std::string name = path;
  char* argv[] = {name.data(), nullptr};

  NoSigpipe no_sigpipe;
  FL_TRY(Pipe in, open_pipe());
  FL_TRY(Pipe out, open_pipe());
  FL_TRY(Pipe err, open_pipe());
  Start start{path.c_str(), argv, envp.data(), in.read.get(), out.write.get(), err.write.get(), ::getpid()};
  FL_TRY(pid_t pid, start_child(start, path));
  in.read.reset();
  out.write.reset();
  err.write.reset();
  Conversation conversation(pid, std::move(in.write), std::move(out.read), std::move(err.read), request.stdin_text,
                            limits);
  return conversation.run();
}

CniError plugin_error(std::string_view type, std::string_view command, const Output& output) {
  if (auto error = decode_error(output.out)) return *error;
  std::string what = "plugin " + std::string(type) + " " + std::string(command) + ": ";
  if (WIFSIGNALED(output.status))
    what += "killed by signal " + std::to_string(WTERMSIG(output.status));
  else
    what += "exit status " + std::to_string(WEXITSTATUS(output.status));
  return {kOwnError, what + (output.out.empty() ? " and no error on stdout" : " and no valid error object on stdout"),
          output.err};
}

}  // namespace

CniResult<std::string> find_plugin(std::string_view type, std::string_view path_list) {
  if (type.empty() || type.find('/') != type.npos || type == "." || type == ".." || type.find('\0') != type.npos)
    return cni_fail(kInvalidConfig, "plugin type \"" + std::string(type.substr(0, 64)) +
                                        "\": expected a file name without path separators");
  if (path_list.empty())
    return cni_fail(kInvalidEnvironment, "missing: CNI_PATH, needed to find plugin " + std::string(type));
  for (std::string_view rest = path_list;;) {
    auto colon = rest.find(':');
    std::string path = std::string(rest.substr(0, colon)) + "/" + std::string(type);
    struct stat st {};
    if (colon != 0 && ::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode)) return path;
    if (colon == rest.npos) break;
    rest = rest.substr(colon + 1);
  }
  return cni_fail(
      kOwnError, "plugin " + std::string(type) + " was not found in CNI_PATH " + std::string(path_list.substr(0, 512)));
}

CniResult<std::string> delegate(const Request& request, std::string_view type, std::string_view command,
                                const DelegateLimits& limits) {
  FL_TRY(auto path, find_plugin(type, request.path));
  auto output = converse(path, request, command, limits);
  if (!output) return fail(CniError(output.error()).with("plugin " + std::string(type) + " " + std::string(command)));
  if (WIFEXITED(output->status) && WEXITSTATUS(output->status) == 0) return std::move(output->out);
  return fail(plugin_error(type, command, *output));
}

CniResult<AddResult> delegate_add(const Request& request, std::string_view type, const DelegateLimits& limits) {
  FL_TRY(auto text, delegate(request, type, "ADD", limits));
  std::string source = "result of plugin " + std::string(type);
  auto json = parse_json(text, source);
  if (!json) return cni_fail(kDecodingFailure, json.error().message);
  return decode_result(*json, request.version, source);
}

bool means_unsupported(const CniError& error) {
  return error.code == kIncompatibleVersion || error.code == kUnknownContainer || error.code == kInvalidEnvironment;
}

}  // namespace fairlead::cni
