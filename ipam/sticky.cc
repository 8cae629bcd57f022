#include "ipam/sticky.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/names.h"
#include "ipam/links.h"
#include "state/store.h"

namespace fairlead::ipam {
namespace {

uint64_t now_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec);
}

bool has(const std::vector<Address>& list, const Address& address) {
  return std::find(list.begin(), list.end(), address) != list.end();
}

}  // namespace

StickyStore::StickyStore(const Paths& paths, std::string_view network)
    : folder_(is_object_name(network) ? paths.sticky(network) : std::string()), network_(network) {}

bool StickyStore::any() const {
  struct stat st {};
  return !folder_.empty() && ::stat(folder_.c_str(), &st) == 0;
}

std::string StickyStore::owner(const Address& address) const {
  return folder_.empty() ? std::string() : read_link(link(address));
}

std::optional<StickyAddresses> StickyStore::find(const std::string& name) const {
  if (folder_.empty() || !is_object_name(name)) return std::nullopt;
  const std::string path = document(name);
  auto text = read_file(path);
  if (!text || !*text) return std::nullopt;
  auto json = parse_json(**text, path);
  if (!json) return std::nullopt;
  auto sticky = decode_sticky(*json, path);
  if (!sticky || sticky->name != name || sticky->network != network_) return std::nullopt;
  return std::move(*sticky);
}

Result<void> StickyStore::keep(const std::string& name, const std::vector<Address>& addresses, uint32_t keep_ms) const {
  if (folder_.empty() || !is_object_name(name)) return {};
  auto before = find(name);
  StickyAddresses sticky = before.value_or(StickyAddresses{network_, name, {}, 0, 0, ""});
  sticky.addresses = addresses;
  sticky.keep_ms = keep_ms;
  sticky.released = 0;
  auto written = replace_file(document(name), encode(sticky), Durability::kBoot);
  if (!written && written.error().sys == ENOENT) {
    FL_CHECK(make_folders(folder_ + "/names"));
    FL_CHECK(make_folders(folder_ + "/addresses"));
    written = replace_file(document(name), encode(sticky), Durability::kBoot);
  }
  if (!written) return written;
  for (const auto& address : addresses) FL_CHECK(point(address, name));
  if (before)
    for (const auto& old : before->addresses)
      if (!has(addresses, old) && owner(old) == name) ::unlink(link(old).c_str());
  return {};
}

Result<void> StickyStore::point(const Address& address, const std::string& name) const {
  if (owner(address) == name) return {};
  return replace_link(link(address), name);
}

void StickyStore::release(const std::string& name, const std::vector<Address>& addresses) const {
  auto sticky = find(name);
  if (!sticky || sticky->released) return;
  if (std::none_of(addresses.begin(), addresses.end(), [&](const Address& a) { return has(sticky->addresses, a); }))
    return;
  sticky->released = now_seconds();
  // A release does not fail over it: collect() notices what is missing here.
  (void)replace_file(document(name), encode(*sticky), Durability::kBoot);
}

std::vector<std::pair<Address, std::string>> StickyStore::list() const {
  std::vector<std::pair<Address, std::string>> found;
  if (folder_.empty()) return found;
  for (const auto& name : names_in_folder(folder_ + "/addresses"))
    if (auto address = Address::parse(name))
      if (std::string kept_for = owner(*address); !kept_for.empty()) found.emplace_back(*address, std::move(kept_for));
  return found;
}

void StickyStore::forget(const StickyAddresses& sticky) const {
  for (const auto& address : sticky.addresses)
    if (owner(address) == sticky.name) ::unlink(link(address).c_str());
  ::unlink(document(sticky.name).c_str());
}

Result<void> StickyStore::collect(const std::function<bool(const Address&)>& leased) const {
  if (!any()) return {};
  const uint64_t now = now_seconds();
  FL_TRY(auto names, list_documents(folder_ + "/names"));
  for (const auto& name : names) {
    auto sticky = find(name);
    if (!sticky) {
      ::unlink((folder_ + "/names/" + name + ".json").c_str());  // ours alone, and of no use to anybody
      continue;
    }
    bool used = std::any_of(sticky->addresses.begin(), sticky->addresses.end(), leased);
    if (sticky->released && sticky->released + sticky->keep_ms / 1000 <= now) {
      if (!used) forget(*sticky);
    } else if (!sticky->released && !used) {
      release(name, sticky->addresses);
    }
  }
  for (const auto& [address, name] : list()) {
    auto sticky = find(name);
    if (!sticky || !has(sticky->addresses, address)) ::unlink(link(address).c_str());
  }
  return {};
}

}  // namespace fairlead::ipam
