#include "state/netns_id.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>

namespace fairlead {
namespace {

// The inode number, or an errno: ENXIO for a file that is no namespace (what is left of a pin whose namespace died).
int look(const std::string& path, uint32_t& inode) {
  struct statfs fs {};
  struct stat st {};
  if (::statfs(path.c_str(), &fs) != 0 || ::stat(path.c_str(), &st) != 0) return errno;
  if (fs.f_type != NSFS_MAGIC) return ENXIO;
  inode = static_cast<uint32_t>(st.st_ino);  // ns_common.inum is an unsigned int
  return 0;
}

}  // namespace

uint32_t netns_inode(const std::string& path) {
  uint32_t inode = 0;
  return look(path, inode) == 0 ? inode : 0;
}

NetnsState netns_state(const std::string& path, uint32_t inode) {
  if (path.empty()) return NetnsState::kUnknown;
  uint32_t found = 0;
  switch (look(path, found)) {
    case 0:
      return inode == 0 || inode == found ? NetnsState::kThere : NetnsState::kGone;
    case ENOENT:
    case ENOTDIR:
    case ENXIO:
    case ESRCH:
      return NetnsState::kGone;
    default:
      return NetnsState::kUnknown;
  }
}

}  // namespace fairlead
