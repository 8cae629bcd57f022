#include "ipam/links.h"

#include <dirent.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

namespace fairlead::ipam {

std::string read_link(const std::string& path) {
  char text[256];
  ssize_t n = ::readlink(path.c_str(), text, sizeof text);
  // One that fills the buffer may have been cut: none of ours is so long.
  return n > 0 && n < static_cast<ssize_t>(sizeof text) ? std::string(text, static_cast<size_t>(n)) : std::string();
}

Result<void> replace_link(const std::string& path, const std::string& text) {
  if (::symlink(text.c_str(), path.c_str()) == 0) return {};
  if (errno != EEXIST) return fail_errno("create link", path);
  auto slash = path.rfind('/') + 1;
  const std::string beside = path.substr(0, slash) + ".tmp-" + std::to_string(::getpid()) + "-" + path.substr(slash);
  if (::symlink(text.c_str(), beside.c_str()) != 0 && errno != EEXIST) return fail_errno("create link", beside);
  if (::rename(beside.c_str(), path.c_str()) != 0) return fail_errno("replace link", path);
  return {};
}

std::vector<std::string> names_in_folder(const std::string& folder) {
  std::vector<std::string> names;
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), ::closedir);
  while (dirent* entry = dir ? ::readdir(dir.get()) : nullptr)
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  return names;
}

}  // namespace fairlead::ipam
