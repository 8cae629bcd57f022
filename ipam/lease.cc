#include "ipam/lease.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "base/names.h"
#include "ipam/sticky.h"

namespace fairlead::ipam {
namespace {

constexpr unsigned kMode = 0640;
constexpr int kLockTimeoutMs = 5000;
constexpr size_t kCursorWidth = 40;  // the longest IPv6 address is 39 bytes, and a newline

std::string hashed(std::string_view text) {
  std::string name;
  for (uint64_t seed : {uint64_t{0}, uint64_t{0x9e3779b97f4a7c15}}) {
    uint64_t h = 14695981039346656037ull ^ seed;  // FNV-1a
    for (unsigned char c : text) h = (h ^ c) * 1099511628211ull;
    for (int shift = 60; shift >= 0; shift -= 4) name += "0123456789abcdef"[h >> shift & 15];
  }
  return name;
}

// '~' is in no name, so a hashed folder never meets a named one.
std::string folder_name(std::string_view network) {
  return is_object_name(network) ? std::string(network) : "~" + hashed(network);
}

std::string fd_path(const Fd& fd) { return "/proc/self/fd/" + std::to_string(fd.get()); }

struct Identity {
  dev_t device = 0;
  ino_t inode = 0;
  friend bool operator==(const Identity&, const Identity&) = default;
};
std::optional<Identity> identity(const struct stat& st) { return Identity{st.st_dev, st.st_ino}; }
std::optional<Identity> identity(const std::string& path) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) return std::nullopt;
  return identity(st);
}
std::optional<Identity> identity(const Fd& fd) {
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return std::nullopt;
  return identity(st);
}
bool is_same(const Fd& fd, const std::string& path) {
  auto there = identity(path);
  return there && there == identity(fd);
}

Result<void> lock(const Fd& fd, const std::string& path) {
  for (int waited_us = 0, nap_us = 200;; nap_us = nap_us < 20000 ? nap_us * 2 : nap_us) {
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return {};
    if (errno != EWOULDBLOCK && errno != EINTR) return fail_errno("lock", path);
    if (waited_us >= kLockTimeoutMs * 1000)
      return fail("lock " + path + ": another process has held it for 5 s; is one stopped?", EWOULDBLOCK);
    timespec nap{0, nap_us * 1000};
    ::nanosleep(&nap, nullptr);
    waited_us += nap_us;
  }
}

Result<Fd> open_tmpfile(const std::string& folder, std::string* name) {
  Fd fd(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, kMode));
  if (fd || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) {
    if (!fd) return fail_errno("create a file in", folder);
    return fd;
  }
  // A file system without O_TMPFILE: a named one, which collect() removes should we be killed right here.
  *name =
      folder + "/.tmp-" + std::to_string(::getpid()) + "-" + std::to_string(reinterpret_cast<uintptr_t>(name) % 100003);
  fd = Fd(::open(name->c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kMode));
  if (!fd) return fail_errno("create", *name);
  return fd;
}

Result<Owner> read_owner(const Fd& fd, const std::string& path) {
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return fail_errno("stat", path);
  std::string text(std::min(static_cast<size_t>(st.st_size), kMaxDocumentBytes), '\0');
  ssize_t n = ::pread(fd.get(), text.data(), text.size(), 0);
  if (n < 0) return fail_errno("read", path);
  return decode_owner(std::string_view(text).substr(0, static_cast<size_t>(n)), path);
}

Result<std::optional<Fd>> open_existing(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (fd) return std::optional<Fd>(std::move(fd));
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  return fail_errno("open", path);
}

// Calls f for every address of the spans until it says that it is enough.
void each_address(const std::vector<Span>& spans, const std::function<bool(const Address&)>& f) {
  for (const auto& span : spans)
    for (Address a = span.first;; a = a.plus(1)) {
      if (f(a)) return;
      if (a >= span.last) break;
    }
}

}  // namespace

LeaseStore::LeaseStore(const Paths& paths, std::string_view network)
    : LeaseStore(of_folder(paths, folder_name(network))) {}

LeaseStore LeaseStore::of_folder(const Paths& paths, const std::string& folder) {
  LeaseStore store;
  store.leases_ = paths.leases(folder);
  store.owners_ = paths.lease_owners() + "/" + folder;
  store.paths_ = paths;
  store.network_ = folder;
  return store;
}

Result<void> LeaseStore::prepare() const {
  FL_CHECK(make_folders(leases_, 0750));
  return make_folders(owners_, 0750);
}

std::string LeaseStore::owner_name(std::string_view container, std::string_view ifname) {
  // '@' and '~' are in no container id, so no two attachments share a name. 255 bytes is NAME_MAX.
  std::string name(container);
  if (name.size() > 200) name = name.substr(0, 64) + "~" + hashed(container);
  return name + "@" + std::string(ifname);
}

std::string LeaseStore::owner_path(std::string_view container, std::string_view ifname) const {
  return owners_ + "/" + owner_name(container, ifname);
}

Result<Fd> LeaseStore::create_owner(const std::string& path, const std::string& text, bool* exists) {
  std::string name;
  auto fd = open_tmpfile(owners_, &name);
  if (!fd && fd.error().sys == ENOENT) {
    FL_CHECK(prepare());
    fd = open_tmpfile(owners_, &name);
  }
  if (!fd) return fail(std::move(fd.error()));
  Result<void> done = write_all(fd->get(), text, path);
  if (done && ::linkat(AT_FDCWD, fd_path(*fd).c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) != 0) {
    *exists = errno == EEXIST;
    if (!*exists) done = fail_errno("create", path);
  }
  if (!name.empty()) ::unlink(name.c_str());
  if (!done) return fail(std::move(done.error()));
  return fd;
}

// The index of the first free one, or choices.size() when all were taken.
Result<size_t> LeaseStore::link_first(const Fd& owner, const std::vector<Address>& choices,
                                      const Filter& passes) const {
  const std::string from = fd_path(owner);
  bool prepared = false;
  for (size_t i = 0; i < choices.size(); i++) {
    if (passes && !passes(choices[i])) continue;
    const std::string to = lease_path(choices[i]);
    if (::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) == 0) return i;
    if (errno == EEXIST) continue;
    // Either the folder is missing, or a release removed the owner's last name (an inode without names cannot be
    // linked any more); claim() looks which.
    if (errno != ENOENT || prepared) return fail_errno("create lease", to);
    FL_CHECK(prepare());
    prepared = true;
    i--;
  }
  return choices.size();
}

Result<LeaseStore::Claim> LeaseStore::claim(const Owner& owner, const std::vector<std::vector<Address>>& choices,
                                            const Filter& passes) {
  Owner document = owner;
  document.tried.clear();
  for (const auto& list : choices) document.tried.push_back(spans_of(list));
  const std::string path = owner_path(owner.container, owner.ifname);
  Claim answer;
  bool exists = false;
  FL_TRY(Fd fd, create_owner(path, encode(document), &exists));
  if (exists) {
    answer.what = Claim::kOwnerExists;
    return answer;
  }
  for (size_t i = 0; i < choices.size(); i++) {
    auto index = link_first(fd, choices[i], passes);
    if (index && *index < choices[i].size()) {
      answer.granted.push_back(choices[i][*index]);
      continue;
    }
    bool here = is_same(fd, path);
    FL_CHECK(undo(fd, path));
    if (!index && here) return fail(std::move(index.error()));
    answer.what = here ? Claim::kAllTaken : Claim::kReleasedMeanwhile;
    answer.taken = i;
    answer.granted.clear();
    return answer;
  }
  if (is_same(fd, path)) return answer;
  FL_CHECK(undo(fd, path));
  answer.what = Claim::kReleasedMeanwhile;
  answer.granted.clear();
  return answer;
}

Result<void> LeaseStore::undo(const Fd& owner, const std::string& path) {
  FL_CHECK(lock(owner, path));
  auto released = release_locked(owner, path);
  // The lock belongs to the open file; it ends when the caller closes it.
  if (!released) return fail(std::move(released.error()));
  return {};
}

// Under the owner's lock. Removes its addresses, then its name, then looks for addresses linked meanwhile.
Result<bool> LeaseStore::release_locked(const Fd& owner, const std::string& path) {
  auto self = identity(owner);
  auto document = read_owner(owner, path);
  Result<void> problem;
  bool any = false;
  std::vector<Address> removed;
  auto remove_own = [&](const std::string& lease) {
    if (identity(lease) != self) return false;
    if (::unlink(lease.c_str()) != 0 && errno != ENOENT && problem) problem = fail_errno("remove lease", lease);
    return any = true;
  };
  std::vector<const std::vector<Span>*> open;
  if (document)
    for (const auto& spans : document->tried) open.push_back(&spans);
  auto sweep = [&] {
    std::erase_if(open, [&](const std::vector<Span>* spans) {
      bool found = false;
      each_address(*spans, [&](const Address& a) {
        found = remove_own(lease_path(a));
        if (found) removed.push_back(a);
        return found;
      });
      return found;
    });
  };
  if (document) {
    sweep();
  } else if (auto all = leased(); all) {
    // A document that cannot be read (damaged from outside) does not say where to look.
    for (const auto& a : *all) remove_own(lease_path(a));
  }
  if (!problem) return fail(std::move(problem.error()));  // the owner stays, so that the next release finds it
  if (identity(path) == self) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno("remove", path);
    any = true;
  }
  sweep();
  if (!problem) return fail(std::move(problem.error()));
  // Last: killed before, the name's addresses count as kept from the moment somebody notices (StickyStore::collect).
  if (document && !document->sticky.empty()) StickyStore(paths_, network_).release(document->sticky, removed);
  return any;
}

Result<bool> LeaseStore::release(std::string_view container, std::string_view ifname) {
  const std::string path = owner_path(container, ifname);
  FL_TRY(auto fd, open_existing(path));
  if (!fd) return false;
  return release_open(*fd, path);
}

Result<bool> LeaseStore::release_open(const Fd& owner, const std::string& path) {
  FL_CHECK(lock(owner, path));
  // Whoever had the lock before may have released it; what has the name now is a newer attachment's.
  if (!is_same(owner, path)) return false;
  return release_locked(owner, path);
}

Result<std::optional<LeaseStore::Holding>> LeaseStore::find(std::string_view container, std::string_view ifname) const {
  const std::string path = owner_path(container, ifname);
  FL_TRY(auto fd, open_existing(path));
  if (!fd) return std::nullopt;
  Holding holding;
  FL_TRY(holding.owner, read_owner(*fd, path));
  if (holding.owner.container != container || holding.owner.ifname != ifname)
    return fail(path + ": belongs to " + holding.owner.container + " " + holding.owner.ifname);
  auto self = identity(*fd);
  for (const auto& spans : holding.owner.tried)
    each_address(spans, [&](const Address& a) {
      if (identity(lease_path(a)) != self) return false;
      holding.addresses.push_back(a);
      return true;
    });
  return std::optional<Holding>(std::move(holding));
}

Result<std::optional<Owner>> LeaseStore::holder(const Address& address) const {
  const std::string path = lease_path(address);
  FL_TRY(auto fd, open_existing(path));
  if (!fd) return std::nullopt;
  FL_TRY(auto owner, read_owner(*fd, path));
  return std::optional<Owner>(std::move(owner));
}

std::vector<std::optional<Address>> LeaseStore::cursors(size_t n) const {
  std::vector<std::optional<Address>> found(n);
  Fd fd(::open((owners_ + "/.cursor").c_str(), O_RDONLY | O_CLOEXEC));
  std::string text(n * kCursorWidth, ' ');
  if (!fd || ::pread(fd.get(), text.data(), text.size(), 0) < 0) return found;
  for (size_t i = 0; i < n; i++) {
    auto line = std::string_view(text).substr(i * kCursorWidth, kCursorWidth);
    if (auto address = Address::parse(line.substr(0, line.find(' ')))) found[i] = *address;
  }
  return found;
}

void LeaseStore::set_cursors(const std::vector<std::optional<Address>>& addresses) const {
  Fd fd(::open((owners_ + "/.cursor").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, kMode));
  for (size_t i = 0; fd && i < addresses.size(); i++) {
    if (!addresses[i]) continue;
    std::string line = addresses[i]->to_string();
    line.resize(kCursorWidth - 1, ' ');
    line += '\n';
    // In place and without a lock: a lost or torn hint costs the next claim some tries.
    if (::pwrite(fd.get(), line.data(), line.size(), static_cast<off_t>(i * kCursorWidth)) < 0) return;
  }
}

}  // namespace fairlead::ipam
