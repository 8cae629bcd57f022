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

Result<void> write_open(const Fd& fd, const std::string& name, std::string_view text, Durability durability) {
  if (auto r = write_all(fd.get(), text, name); !r) return r;
  if (durability == Durability::kDurable && ::fsync(fd.get()) != 0) return fail_errno("sync", name);
  return {};
}

Result<void> write_temporary(const std::string& name, std::string_view text, Durability durability, unsigned mode) {
  Fd fd(::open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!fd) return fail_errno("create", name);
  return write_open(fd, name, text, durability);
}

// Through a file without a name (O_TMPFILE), so that a kill before the end leaves nothing behind. false: path exists.
// nullopt: the file system cannot do it.
Result<std::optional<bool>> create_nameless(const std::string& path, std::string_view text, Durability durability,
                                            unsigned mode) {
  const std::string folder = folder_of(path);
  Fd fd(::open(folder.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, mode));
  if (!fd) {
    if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL) return std::nullopt;
    return fail_errno("create a file in", folder);
  }
  FL_CHECK(write_open(fd, path, text, durability));
  // open(2): the way to give such a file a name without CAP_DAC_READ_SEARCH.
  const std::string from = "/proc/self/fd/" + std::to_string(fd.get());
  if (::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0) return true;
  if (errno == EEXIST) return false;
  if (errno == ENOENT) return std::nullopt;  // no /proc here
  return fail_errno("create", path);
}

Result<bool> link_named(const std::string& path, std::string_view text, Durability durability, unsigned mode) {
  std::string temporary = temporary_name(path);
  auto written = write_temporary(temporary, text, durability, mode);
  // link(2), not rename: it refuses an existing name, and the new name appears with its whole content.
  int rc = written ? ::link(temporary.c_str(), path.c_str()) : 0;
  int sys = errno;
  ::unlink(temporary.c_str());
  if (!written) return fail(written.error().with("create " + path));
  if (rc != 0 && sys != EEXIST) return fail_errno("create", path, sys);
  return rc == 0;
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
  if (::access(path.c_str(), F_OK) != 0) {
    auto created = create_nameless(path, text, durability, mode);
    if (!created) return fail(created.error().with("write " + path));
    if (*created == true) return durability == Durability::kDurable ? sync_folder(folder_of(path)) : Result<void>();
  }
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
  auto created = create_nameless(path, text, durability, mode);
  if (!created) return fail(created.error().with("create " + path));
  if (!*created) {
    FL_TRY(*created, link_named(path, text, durability, mode));
  }
  if (**created && durability == Durability::kDurable) FL_CHECK(sync_folder(folder_of(path)));
  return **created;
}

Result<std::optional<int64_t>> file_age_ms(const std::string& path) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) {
    if (errno == ENOENT) return std::nullopt;
    return fail_errno("stat", path);
  }
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return std::optional<int64_t>((now.tv_sec - st.st_mtim.tv_sec) * 1000 + (now.tv_nsec - st.st_mtim.tv_nsec) / 1000000);
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

namespace {

// Waits in short naps instead of a blocking call: a stopped holder must not hang us for ever. try_lock: 0, or an errno.
template <class TryLock>
Result<Fd> lock_within(const std::string& path, int timeout_ms, TryLock try_lock) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (!fd) return fail_errno("open lock", path);
  for (int waited_us = 0, nap_us = 200;; nap_us = nap_us < 20000 ? nap_us * 2 : nap_us) {
    int sys = try_lock(fd.get());
    if (sys == 0) return fd;
    if (sys == EINTR) continue;
    if (sys != EWOULDBLOCK && sys != EACCES) return fail_errno("lock", path, sys);
    if (waited_us >= timeout_ms * 1000)
      return fail("lock " + path + ": still held by another process after " + std::to_string(timeout_ms) + " ms",
                  EWOULDBLOCK);
    timespec nap{0, nap_us * 1000};
    ::nanosleep(&nap, nullptr);
    waited_us += nap_us;
  }
}

}  // namespace

Result<Fd> lock_file(const std::string& path, int timeout_ms) {
  return lock_within(path, timeout_ms, [](int fd) { return ::flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno; });
}

Result<Fd> lock_key(const std::string& path, std::string_view key, int timeout_ms) {
  uint64_t hash = 14695981039346656037ull;  // FNV-1a
  for (unsigned char c : key) hash = (hash ^ c) * 1099511628211ull;
  // A lock of the open file description, not of the process: closing another descriptor of the file keeps it.
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  range.l_start = static_cast<off_t>(hash >> 2);
  range.l_len = 1;
  return lock_within(path, timeout_ms, [&](int fd) { return ::fcntl(fd, F_OFD_SETLK, &range) == 0 ? 0 : errno; });
}

}  // namespace fairlead
