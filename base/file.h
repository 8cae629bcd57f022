// Files as the state directory needs them: read with a size limit, replaced atomically, created exclusively.
// Threads: stateless. Errors name the path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace fairlead {

// kBoot: rename only (tmpfs, this boot's documents). kDurable: fsync of the file and its folder.
enum class Durability { kBoot, kDurable };

inline constexpr size_t kMaxDocumentBytes = 1 << 20;

// nullopt when the file does not exist; an error when it is larger than max_bytes or not a regular file.
Result<std::optional<std::string>> read_file(const std::string& path, size_t max_bytes = kMaxDocumentBytes);

// Reads everything until end of file, at most max_bytes (more is an error). For stdin and pipes.
Result<std::string> read_all(int fd, size_t max_bytes, std::string_view what);

// Writes a temporary file beside path and renames it over path. Readers see the old or the new text, never a part.
Result<void> replace_file(const std::string& path, std::string_view text, Durability durability, unsigned mode = 0640);

// As replace_file, but never over an existing file: false when path exists already. Of two at once, one wins.
Result<bool> create_file(const std::string& path, std::string_view text, Durability durability, unsigned mode = 0640);

// Milliseconds since the file was written (its mtime); nullopt when there is none. Negative when the clock was set
// back.
Result<std::optional<int64_t>> file_age_ms(const std::string& path);

// false when it was not there.
Result<bool> remove_file(const std::string& path);

// mkdir -p. Folders that exist are left as they are.
Result<void> make_folders(const std::string& path, unsigned mode = 0755);

// Writes a value into a /proc/sys file of the calling thread's network namespace, key as "net/ipv4/ip_forward".
// false when the kernel has no such key.
Result<bool> write_sysctl(std::string_view key, std::string_view value);
Result<std::optional<std::string>> read_sysctl(std::string_view key);

// flock(2) on path (made when missing), given up after timeout_ms. The lock ends with the process, whatever kills it.
// An error with sys == EWOULDBLOCK when the time is over.
Result<Fd> lock_file(const std::string& path, int timeout_ms);

// A lock on one key of a lock file (made when missing): locks of different keys do not meet, and there is no file per
// key to clean up. As lock_file in everything else. Keys are hashed; two that collide only wait for one another.
Result<Fd> lock_key(const std::string& path, std::string_view key, int timeout_ms);

// writes all of it, over partial writes and EINTR.
Result<void> write_all(int fd, std::string_view text, std::string_view what);

}  // namespace fairlead
