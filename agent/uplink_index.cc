#include "agent/uplink_index.h"

#include <dirent.h>

#include <cerrno>
#include <charconv>
#include <memory>
#include <set>

#include "base/file.h"
#include "base/names.h"

namespace fairlead::agent {
namespace {

constexpr int kLockTimeoutMs = 10000;

std::string folder(const Paths& paths) { return paths.routers() + "/.index"; }
std::string file_of(const Paths& paths, const std::string& network, uint32_t index) {
  return folder(paths) + "/" + std::to_string(index) + "-" + network;
}

struct CloseFolder {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

}  // namespace

Result<std::map<std::string, uint32_t>> reserved_indexes(const Paths& paths) {
  std::map<std::string, uint32_t> out;
  std::unique_ptr<DIR, CloseFolder> dir(::opendir(folder(paths).c_str()));
  if (!dir) {
    if (errno == ENOENT) return out;
    return fail_errno("open folder", folder(paths));
  }
  while (dirent* entry = ::readdir(dir.get())) {
    std::string_view name = entry->d_name;
    auto dash = name.find('-');
    if (dash == std::string_view::npos) continue;
    uint32_t index = 0;
    auto [end, error] = std::from_chars(name.data(), name.data() + dash, index);
    if (error != std::errc() || end != name.data() + dash || index > kMaxUplinkIndex) continue;
    if (is_object_name(name.substr(dash + 1))) out[std::string(name.substr(dash + 1))] = index;
  }
  return out;
}

Result<uint32_t> reserve_index(const Paths& paths, const std::string& network, std::optional<uint32_t> preferred) {
  FL_CHECK(make_folders(folder(paths)));
  FL_TRY(Fd lock, lock_file(paths.routers() + "/.lock", kLockTimeoutMs));
  FL_TRY(auto reserved, reserved_indexes(paths));
  if (auto own = reserved.find(network); own != reserved.end()) return own->second;
  std::set<uint32_t> used;
  for (const auto& [name, index] : reserved) used.insert(index);
  uint32_t index = 0;
  if (preferred && !used.count(*preferred)) {
    index = *preferred;
  } else {
    while (used.count(index)) index++;
  }
  if (index > kMaxUplinkIndex)
    return fail("network " + network + ": this node has " + std::to_string(kMaxUplinkIndex + 1) +
                " networks, which is the limit; remove one");
  FL_TRY(bool made, create_file(file_of(paths, network, index), "", Durability::kBoot));
  (void)made;
  return index;
}

Result<void> release_index(const Paths& paths, const std::string& network) {
  FL_TRY(auto reserved, reserved_indexes(paths));
  if (auto own = reserved.find(network); own != reserved.end())
    FL_CHECK(remove_file(file_of(paths, network, own->second)));
  return {};
}

}  // namespace fairlead::agent
