#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include <atomic>
#include <cerrno>
#include <cstdio>

namespace fairlead {
namespace {

std::string folder_of(const std::string& path) {
  auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// A leading dot keeps it out of every listing; pid and a counter keep it apart from other writers'.
std::string temporary_name(const std::string& path) {
  static std::atomic<unsigned> counter{0};
  return folder_of(path) + "/.tmp-" + std::to_string(getpid()) + "-" + std::to_string(counter++);
}

Result<void> sync_folder(const std::string& folder) {
  Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno("open", folder);
  if (::fsync(fd.get()) != 0) return fail_errno("sync", folder);
  return {};
}

Result<void> write_temporary(const std::string& name, std::string_view text, Durability durability, unsigned mode) {
  Fd fd(::open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!fd) return fail_errno("create", name);
  if (auto r = write_all(fd.get(), text, name); !r) return r;
  if (durability == Durability::kDurable && ::fsync(fd.get()) != 0) return fail_errno("sync", name);
  return {};
}

}  // namespace

Result<void> write_all(int fd, std::string_view text, std::string_view what) {
  while (!text.empty()) {
    ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("write", what);
    text.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Result<std::string> read_all(int fd, size_t max_bytes, std::string_view what) {
  std::string text;
  char buffer[16384];
  for (;;) {
    ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read", what);
    if (n == 0) return text;
    if (text.size() + static_cast<size_t>(n) > max_bytes)
      return fail(std::string(what) + ": longer than the limit of " + std::to_string(max_bytes) + " bytes", EFBIG);
    text.append(buffer, static_cast<size_t>(n));
  }
}

Result<std::optional<std::string>> read_file(const std::string& path, size_t max_bytes) {
  // O_NONBLOCK: a FIFO in the place of a document must not hang us.
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) {
    if (errno == ENOENT) return std::nullopt;
    return fail_errno("open", path);
  }
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return fail_errno("stat", path);
  if (!S_ISREG(st.st_mode)) return fail(path + ": not a regular file", EINVAL);
  FL_TRY(auto text, read_all(fd.get(), max_bytes, path));
  return std::optional<std::string>(std::move(text));
}

Result<void> replace_file(const std::string& path, std::string_view text, Durability durability, unsigned mode) {
  std::string temporary = temporary_name(path);
  auto written = write_temporary(temporary, text, durability, mode);
  if (written && ::rename(temporary.c_str(), path.c_str()) != 0) written = fail_errno("rename to", path);
  if (!written) {
    ::unlink(temporary.c_str());
    return fail(written.error().with("write " + path));
  }
  if (durability == Durability::kDurable) return sync_folder(folder_of(path));
  return {};
}

Result<bool> create_file(const std::string& path, std::string_view text, Durability durability, unsigned mode) {
  std::string temporary = temporary_name(path);
  auto written = write_temporary(temporary, text, durability, mode);
  if (!written) {
    ::unlink(temporary.c_str());
    return fail(written.error().with("create " + path));
  }
  // link(2), not rename: it refuses an existing name, and the new name appears with its whole content.
  int rc = ::link(temporary.c_str(), path.c_str());
  int sys = errno;
  ::unlink(temporary.c_str());
  if (rc != 0) {
    if (sys == EEXIST) return false;
    return fail_errno("create", path, sys);
  }
  if (durability == Durability::kDurable) FL_CHECK(sync_folder(folder_of(path)));
  return true;
}

Result<bool> remove_file(const std::string& path) {
  if (::unlink(path.c_str()) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return fail_errno("remove", path);
}

Result<void> make_folders(const std::string& path, unsigned mode) {
  if (::mkdir(path.c_str(), mode) == 0) return {};
  if (errno == ENOENT && path.find('/', 1) != std::string::npos) {
    FL_CHECK(make_folders(folder_of(path), mode));
    if (::mkdir(path.c_str(), mode) == 0) return {};
  }
  if (errno == EEXIST) {
    struct stat st {};
    if (::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) return {};
    return fail(path + ": exists and is not a folder", ENOTDIR);
  }
  return fail_errno("make folder", path);
}

Result<bool> write_sysctl(std::string_view key, std::string_view value) {
  std::string path = "/proc/sys/" + std::string(key);
  Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) {
    if (errno == ENOENT) return false;
    return fail_errno("open", path);
  }
  FL_CHECK(write_all(fd.get(), value, path));
  return true;
}

Result<std::optional<std::string>> read_sysctl(std::string_view key) {
  FL_TRY(auto text, read_file("/proc/sys/" + std::string(key), 65536));
  if (text)
    while (!text->empty() && (text->back() == '\n' || text->back() == ' ')) text->pop_back();
  return text;
}

Result<Fd> lock_file(const std::string& path, int timeout_ms) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (!fd) return fail_errno("open lock", path);
  // Waiting in short naps instead of a blocking flock: a stopped holder must not hang us for ever.
  for (int waited_us = 0, nap_us = 200;; nap_us = nap_us < 20000 ? nap_us * 2 : nap_us) {
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return fail_errno("lock", path);
    if (waited_us >= timeout_ms * 1000)
      return fail("lock " + path + ": still held by another process after " + std::to_string(timeout_ms) + " ms",
                  EWOULDBLOCK);
    timespec nap{0, nap_us * 1000};
    ::nanosleep(&nap, nullptr);
    waited_us += nap_us;
  }
}

}  // namespace fairlead
