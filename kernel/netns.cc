#include "kernel/netns.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <thread>

#include "base/file.h"

namespace fairlead::kernel {

Result<Fd> open_netns(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return fail_errno("open network namespace", path);
  struct statfs fs {};
  // /proc/PID/ns/net shows up as nsfs, too. A plain file is what a dead pin leaves behind.
  if (::fstatfs(fd.get(), &fs) != 0) return fail_errno("stat", path);
  if (fs.f_type != NSFS_MAGIC) return fail(path + ": not a network namespace", EINVAL);
  return fd;
}

Result<Fd> own_netns() { return open_netns("/proc/thread-self/ns/net"); }

Result<bool> same_netns(int a, int b) {
  struct stat x {
  }, y{};
  if (::fstat(a, &x) != 0 || ::fstat(b, &y) != 0) return fail_errno("stat", "network namespace");
  return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

Result<void> in_netns(int netns, const std::function<Result<void>()>& f) {
  FL_TRY(Fd home, own_netns());
  if (::setns(netns, CLONE_NEWNET) != 0) return fail_errno("enter", "network namespace");
  auto result = f();
  // Staying in a foreign namespace would turn every later step against the wrong network.
  if (::setns(home.get(), CLONE_NEWNET) != 0) std::abort();
  return result;
}

namespace {

// `ip netns` makes the folder a shared mount point, so that pins made in one mount namespace appear in the others
// that were copied from it; the same is done here for the same reason (iproute2 ip/ipnetns.c, netns_add).
//
// Not where somebody pinned namespaces without doing so: binding the folder over itself would cover their pins with
// copies, and they could never be removed again (unlink: EBUSY).
Result<bool> has_pins() {
  FL_TRY(auto mounts, read_file("/proc/thread-self/mountinfo", 64 << 20));
  return mounts && mounts->find(std::string(" ") + kNetnsFolder + "/") != std::string::npos;
}

Result<void> share_folder() {
  FL_CHECK(make_folders(kNetnsFolder));
  for (int attempt = 0;; attempt++) {
    if (::mount("", kNetnsFolder, "none", MS_SHARED | MS_REC, nullptr) == 0) return {};
    if (errno != EINVAL || attempt > 0) return fail_errno("share mount", kNetnsFolder);
    FL_TRY(bool pins, has_pins());
    if (pins) return {};
    if (::mount(kNetnsFolder, kNetnsFolder, "none", MS_BIND | MS_REC, nullptr) != 0)
      return fail_errno("bind mount", kNetnsFolder);
  }
}

}  // namespace

Result<Fd> make_netns() {
  Result<Fd> made = fail("");
  // A thread of its own: unshare(2) cannot be taken back in the calling one without a window in the wrong namespace.
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0) {
      made = fail_errno("make", "network namespace");
    } else {
      made = own_netns();
    }
  }).join();
  return made;
}

Result<bool> pin_netns(int netns, const std::string& name) {
  std::string path = netns_path(name);
  if (auto alive = open_netns(path)) return false;
  FL_CHECK(share_folder());
  Fd file(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0444));
  if (!file) return fail_errno("create", path);
  std::string self = "/proc/self/fd/" + std::to_string(netns);
  if (::mount(self.c_str(), path.c_str(), "none", MS_BIND, nullptr) != 0) {
    auto failed = fail_errno("pin network namespace", path);
    ::unlink(path.c_str());
    return failed;
  }
  return true;
}

Result<bool> create_pinned_netns(const std::string& name) {
  if (auto alive = open_netns(netns_path(name))) return false;
  FL_TRY(Fd made, make_netns());
  return pin_netns(made.get(), name);
}

Result<bool> remove_pinned_netns(const std::string& name) {
  std::string path = netns_path(name);
  if (::umount2(path.c_str(), MNT_DETACH) != 0 && errno != EINVAL && errno != ENOENT)
    return fail_errno("unpin network namespace", path);
  return remove_file(path);
}

}  // namespace fairlead::kernel
