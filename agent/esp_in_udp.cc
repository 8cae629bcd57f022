#include "agent/esp_in_udp.h"

#include <fcntl.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "kernel/udp.h"

namespace fairlead::agent {
namespace {

constexpr int kFileFd = 3, kSocketFd = 4;
// A removal that is not told of.
constexpr int kLookAgainMs = 10000;

std::string path_of(const Paths& paths) { return paths.run + "/esp-in-udp.json"; }

Result<Fd> open_socket(const Address& address, uint16_t port) {
  FL_TRY(Fd fd, kernel::open_udp(address, port));
  const int type = UDP_ENCAP_ESPINUDP;
  if (::setsockopt(fd.get(), IPPROTO_UDP, UDP_ENCAP, &type, sizeof type) != 0)
    return fail_errno("have the kernel take ESP in UDP at", address.to_string() + " port " + std::to_string(port));
  return fd;
}

// Whether somebody holds what the file says; a file that nobody holds any more is removed.
Result<bool> is_held(const std::string& path, const std::string& wanted) {
  Fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file) return errno == ENOENT ? Result<bool>(false) : fail_errno("open", path);
  FL_TRY(auto text, read_all(file.get(), kMaxDocumentBytes, path));
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail_errno("lock", path);
    if (text == wanted) return true;
  }
  FL_CHECK(remove_file(path));
  return false;
}

// Under its name only when it is locked and whole.
Result<Fd> make_file(const std::string& path, const std::string& text) {
  const std::string draft = path + ".new";
  Fd file(::open(draft.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
  if (!file) return fail_errno("make", draft);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return fail_errno("lock", draft);
  FL_CHECK(write_all(file.get(), text, draft));
  if (::rename(draft.c_str(), path.c_str()) != 0) return fail_errno("rename to", path);
  return file;
}

// The child leaves its parent at once, so that it is nobody's zombie.
Result<void> spawn_holder(const Fd& file, const Fd& socket) {
  // Above those they become: an action that copies a descriptor onto itself would leave it to be closed.
  Fd high_file(::fcntl(file.get(), F_DUPFD_CLOEXEC, 10)), high_socket(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 10));
  if (!high_file || !high_socket) return fail_errno("copy", "descriptors");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int fd : {0, 1, 2}) posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&actions, high_file.get(), kFileFd);
  posix_spawn_file_actions_adddup2(&actions, high_socket.get(), kSocketFd);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
  char name[] = "fairlead-agent", command[] = "hold";
  char* arguments[] = {name, command, nullptr};
  char* environment[] = {nullptr};
  pid_t pid = 0;
  const int rc = ::posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, arguments, environment);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (rc != 0) return fail_errno("start", "the process that holds the socket for ESP in UDP", rc);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return fail_errno("wait for", "the process that holds the socket for ESP in UDP");
  if (status != 0) return fail("the process that holds the socket for ESP in UDP did not start");
  return {};
}

bool is_removed(int fd) {
  struct stat s {};
  return ::fstat(fd, &s) != 0 || s.st_nlink == 0;
}

}  // namespace

Result<void> hold_esp_in_udp(const Paths& paths, const Address& address, uint16_t port) {
  const std::string path = path_of(paths);
  const bool wanted = address && port;
  const std::string text =
      wanted ? dump_json({{"apiVersion", 1}, {"address", address.to_string()}, {"port", port}}) + "\n" : "";
  FL_TRY(bool held, is_held(path, text));
  if (held || !wanted) return {};
  auto socket = open_socket(address, port);
  if (!socket)
    return fail(socket.error().with("ESP in UDP cannot be received (free the port, or set ipsecUdpPort in node.json)"));
  FL_CHECK(make_folders(paths.run));
  FL_TRY(Fd file, make_file(path, text));
  auto started = spawn_holder(file, *socket);
  if (!started) (void)remove_file(path);
  return started;
}

int run_esp_in_udp_holder() {
  struct stat s {};
  if (::fstat(kFileFd, &s) != 0 || ::fstat(kSocketFd, &s) != 0 || !S_ISSOCK(s.st_mode)) return 2;
  const pid_t child = ::fork();
  if (child != 0) return child < 0 ? 1 : 0;
  (void)::close_range(kSocketFd + 1, ~0U, 0);
  if (::chdir("/") != 0) return 1;
  (void)::prctl(PR_SET_NAME, "fairlead-hold");
  Fd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  (void)::inotify_add_watch(watch.get(), "/proc/self/fd/3", IN_ATTRIB | IN_DELETE_SELF);
  while (!is_removed(kFileFd)) {
    pollfd waits{watch.get(), POLLIN, 0};
    (void)::poll(&waits, 1, kLookAgainMs);
    char events[4096];
    while (::read(watch.get(), events, sizeof events) > 0) continue;
  }
  return 0;
}

}  // namespace fairlead::agent
