// What walks over all leases: listings and garbage collection. Nothing here is on the path of ADD or DEL.
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include <cerrno>
#include <memory>
#include <set>

#include "base/file.h"
#include "ipam/lease.h"

namespace fairlead::ipam {
namespace {

constexpr int64_t kAbandonedMs = 60000;

Result<std::vector<std::string>> names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), ::closedir);
  if (!dir) {
    if (errno == ENOENT) return names;
    return fail_errno("list", folder);
  }
  while (dirent* entry = ::readdir(dir.get())) names.emplace_back(entry->d_name);
  return names;
}

// Milliseconds since the file's content was written.
int64_t age_of(const struct stat& st) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return (now.tv_sec - st.st_mtim.tv_sec) * 1000 + (now.tv_nsec - st.st_mtim.tv_nsec) / 1000000;
}

// A damaged document is still known by its name, unless the name is a hash.
std::optional<Owner> owner_of(const std::string& text, const std::string& path, const std::string& name) {
  if (auto owner = decode_owner(text, path)) return *owner;
  auto at = name.find('@');
  if (at == name.npos || name.find('~') != name.npos) return std::nullopt;
  Owner owner;
  owner.container = name.substr(0, at);
  owner.ifname = name.substr(at + 1);
  return owner;
}

}  // namespace

Result<std::vector<Address>> LeaseStore::leased() const {
  FL_TRY(auto names, names_in(leases_));
  std::vector<Address> addresses;
  for (const auto& name : names)
    if (auto address = Address::parse(name)) addresses.push_back(*address);
  return addresses;
}

// The file is held open from before it is judged until it is released: what has its name by then may be a newer
// attachment's, and is not touched (release_open).
Result<void> LeaseStore::collect_owner(const std::string& name, const Collection& collection) {
  const std::string path = owners_ + "/" + name;
  Fd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return {};
  auto text = read_all(fd.get(), kMaxDocumentBytes, path);
  auto owner = owner_of(text ? *text : "", path, name);
  if (!owner) return {};
  auto guard = collection.judge(*owner);
  if (!guard) return {};
  FL_CHECK(release_open(fd, path));
  return {};
}

// A lease whose owner has gone: its claim and its release ran at once and one of them was killed, or somebody
// removed the owner by hand.
Result<void> LeaseStore::collect_lease(const std::string& name, const Collection& collection) {
  const std::string path = leases_ + "/" + name;
  Fd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat st {
  }, there{};
  if (!fd || ::fstat(fd.get(), &st) != 0 || age_of(st) < collection.min_age_ms) return {};
  auto text = read_all(fd.get(), kMaxDocumentBytes, path);
  if (!text) return {};
  auto owner = decode_owner(*text, path);
  if (!owner) return {};
  auto is_this = [&](const std::string& p) {
    return ::lstat(p.c_str(), &there) == 0 && there.st_dev == st.st_dev && there.st_ino == st.st_ino;
  };
  if (is_this(owner_path(owner->container, owner->ifname))) return {};
  auto guard = collection.judge(*owner);
  if (!guard) return {};
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return {};  // somebody is at it
  if (is_this(path) && ::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno("remove lease", path);
  return {};
}

Result<void> LeaseStore::collect(const Collection& collection) {
  Result<void> problem;
  auto note = [&](const Result<void>& done) {
    if (!done && problem) problem = fail(done.error());
  };
  std::set<ino_t> owned;
  FL_TRY(auto owners, names_in(owners_));
  for (const auto& name : owners) {
    const std::string path = owners_ + "/" + name;
    struct stat st {};
    if (::lstat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) continue;
    if (name.starts_with(".tmp-") && age_of(st) > kAbandonedMs) ::unlink(path.c_str());
    if (name.starts_with(".")) continue;
    owned.insert(st.st_ino);
    if (age_of(st) < collection.min_age_ms || (collection.known && collection.known(name))) continue;
    note(collect_owner(name, collection));
  }
  FL_TRY(auto leases, names_in(leases_));
  for (const auto& name : leases) {
    struct stat st {};
    if (name.starts_with(".") || ::lstat((leases_ + "/" + name).c_str(), &st) != 0 || !S_ISREG(st.st_mode)) continue;
    if (!owned.count(st.st_ino)) note(collect_lease(name, collection));
  }
  return problem;
}

}  // namespace fairlead::ipam
