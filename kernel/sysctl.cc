#include "kernel/sysctl.h"

#include <fcntl.h>
#include <sys/mount.h>

#include <cerrno>

#include "base/file.h"

namespace fairlead::kernel {
namespace {

Fd mount_private() {
  Fd context(::fsopen("proc", FSOPEN_CLOEXEC));
  if (!context || ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return Fd();
  return Fd(::fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
}

}  // namespace

SysctlTree SysctlTree::open() {
  Fd root = mount_private();
  if (!root) root.reset(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  return SysctlTree(std::move(root));
}

Result<std::optional<Fd>> SysctlTree::open_key(std::string_view key, int flags) const {
  const std::string path = "sys/" + std::string(key);
  Fd fd(::openat(root_.get(), path.c_str(), flags | O_CLOEXEC));
  if (fd) return std::optional<Fd>(std::move(fd));
  if (errno == ENOENT) return std::nullopt;
  return fail_errno("open", "/proc/" + path);
}

Result<std::optional<std::string>> SysctlTree::read(std::string_view key) const {
  FL_TRY(auto fd, open_key(key, O_RDONLY));
  if (!fd) return std::nullopt;
  FL_TRY(std::string text, read_all(fd->get(), 65536, key));
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return std::optional<std::string>(std::move(text));
}

Result<bool> SysctlTree::write(std::string_view key, std::string_view value) const {
  FL_TRY(auto fd, open_key(key, O_WRONLY));
  if (!fd) return false;
  FL_CHECK(write_all(fd->get(), value, "/proc/sys/" + std::string(key)));
  return true;
}

}  // namespace fairlead::kernel
