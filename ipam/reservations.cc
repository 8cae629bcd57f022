#include "ipam/reservations.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "base/file.h"
#include "base/names.h"
#include "ipam/links.h"
#include "state/store.h"

namespace fairlead::ipam {
namespace {

constexpr int kLockMs = 5000;
constexpr int64_t kSettledNs = 20'000'000;  // two ticks of the slowest kernel (HZ=100)

const std::string kNone = "none";  // the stamp while there is no folder of documents

std::string stamp_path(const std::string& index) { return index + "/.stamp"; }

std::string text_of(const struct stat& st) {
  return std::to_string(st.st_dev) + ":" + std::to_string(st.st_ino) + ":" + std::to_string(st.st_mtim.tv_sec) + "." +
         std::to_string(st.st_mtim.tv_nsec);
}

// What the folder is like; empty when it is not there.
std::string state_of(const std::string& folder) {
  struct stat st {};
  return ::stat(folder.c_str(), &st) == 0 ? text_of(st) : std::string();
}

// As state_of, once the folder's last change is so old that the next one will have another time.
std::string settled_state_of(const std::string& folder) {
  for (int i = 0; i < 50; i++) {
    struct stat st {};
    if (::stat(folder.c_str(), &st) != 0) return "";
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    int64_t age = (now.tv_sec - st.st_mtim.tv_sec) * 1'000'000'000 + (now.tv_nsec - st.st_mtim.tv_nsec);
    // A time in the future (the clock was set back) is not waited for.
    if (age >= kSettledNs || age < -kSettledNs) return text_of(st);
    timespec nap{0, kSettledNs - std::max<int64_t>(age, 0)};
    ::nanosleep(&nap, nullptr);
  }
  return "changing all the time";  // no folder's state: the next one looks again
}

}  // namespace

Result<Reservations> Reservations::open(const Paths& paths, std::string_view network) {
  Reservations r;
  if (!is_object_name(network)) return r;
  r.paths_ = paths;
  r.network_ = network;
  r.index_ = paths.reserved(network);
  const std::string folder = paths.reservations(network);
  r.state_ = state_of(folder);
  if (r.state_.empty() || read_link(stamp_path(r.index_)) == r.state_) return r;
  FL_TRY(Fd held, lock(paths, network));
  FL_CHECK(refresh(paths, network));
  r.state_ = state_of(folder).empty() ? std::string() : read_link(stamp_path(r.index_));
  return r;
}

Result<void> Reservations::refresh(const Paths& paths, std::string_view network) {
  const std::string state = state_of(paths.reservations(network));
  if (read_link(stamp_path(paths.reserved(network))) == (state.empty() ? kNone : state)) return {};
  return rebuild(paths, network, nullptr);
}

std::string Reservations::owner(const Address& address) const {
  return any() ? read_link(index_ + "/" + address.to_string()) : std::string();
}

Result<std::optional<Reservation>> Reservations::of(const std::vector<std::string>& names) const {
  if (!any()) return std::nullopt;
  for (const auto& dns_name : names) {
    std::string name = address_name(dns_name);
    if (name.empty()) continue;
    FL_TRY(auto found, load_reservation(paths_, network_, name));
    if (found) return found;
  }
  return std::nullopt;
}

std::vector<std::pair<Address, std::string>> Reservations::list() const {
  std::vector<std::pair<Address, std::string>> found;
  if (!any()) return found;
  for (const auto& name : names_in_folder(index_))
    if (auto address = Address::parse(name))
      if (std::string who = owner(*address); !who.empty()) found.emplace_back(*address, std::move(who));
  return found;
}

bool Reservations::changed() const { return !network_.empty() && state_of(paths_.reservations(network_)) != state_; }

Result<Fd> Reservations::lock(const Paths& paths, std::string_view network) {
  const std::string index = paths.reserved(network);
  auto held = lock_file(index + "/.lock", kLockMs);
  if (held || held.error().sys != ENOENT) return held;
  FL_CHECK(make_folders(index));
  return lock_file(index + "/.lock", kLockMs);
}

Result<void> Reservations::rebuild(const Paths& paths, std::string_view network, std::vector<std::string>* problems) {
  const std::string index = paths.reserved(network), folder = paths.reservations(network);
  // Before the documents: what changes while they are read makes the stamp an old one.
  const std::string state = settled_state_of(folder);
  FL_TRY(auto names, list_documents(folder));
  std::map<Address, std::string> wanted;
  for (const auto& name : names) {
    auto reservation = load_reservation(paths, std::string(network), name);
    if (!reservation && problems) problems->push_back(reservation.error().message);
    if (!reservation || !*reservation) continue;
    for (const auto& address : (*reservation)->addresses) {
      auto [first, added] = wanted.emplace(address, name);
      if (!added && problems)
        problems->push_back(paths.reservation(network, name) + ": " + address.to_string() + " is reserved for " +
                            first->second + " already");
    }
  }
  // What is new before what is old: no address is free in between.
  for (const auto& [address, name] : wanted) {
    const std::string path = index + "/" + address.to_string();
    if (read_link(path) != name) FL_CHECK(replace_link(path, name));
  }
  for (const auto& name : names_in_folder(index)) {
    auto address = Address::parse(name);
    if (!address || !wanted.count(*address)) ::unlink((index + "/" + name).c_str());
  }
  return replace_link(stamp_path(index), state.empty() ? kNone : state);
}

Result<void> Reservations::add(const Paths& paths, std::string_view network, const std::string& name,
                               const std::vector<Address>& addresses) {
  const std::string index = paths.reserved(network), folder = paths.reservations(network);
  const std::string state = state_of(folder);
  for (const auto& address : addresses) FL_CHECK(replace_link(index + "/" + address.to_string(), name));
  // Somebody else's change in the meantime is not in the index.
  if (settled_state_of(folder) != state) return rebuild(paths, network, nullptr);
  return replace_link(stamp_path(index), state.empty() ? kNone : state);
}

}  // namespace fairlead::ipam
