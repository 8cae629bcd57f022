#include "state/watcher.h"

#include <sys/inotify.h>

#include <cerrno>

namespace fairlead {

Result<StateWatcher> StateWatcher::open() {
  Fd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!fd) return fail_errno("inotify_init", "");
  return StateWatcher(std::move(fd));
}

Result<bool> StateWatcher::watch(const Folder& folder) {
  // IN_CREATE is for folders and for link(2), by which documents are created exclusively.
  int wd = ::inotify_add_watch(fd_.get(), folder.path.c_str(),
                               IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_DELETE_SELF |
                                   IN_MOVE_SELF | IN_ONLYDIR);
  if (wd < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return fail_errno("watch", folder.path);
  }
  folders_[wd] = folder;
  return true;
}

void StateWatcher::forget(const std::string& path) {
  for (auto it = folders_.begin(); it != folders_.end(); ++it) {
    if (it->second.path != path) continue;
    ::inotify_rm_watch(fd_.get(), it->first);
    folders_.erase(it);
    return;
  }
}

void StateWatcher::dispatch(const void* raw, const Handler& handle) {
  const auto& event = *static_cast<const inotify_event*>(raw);
  if (event.mask & IN_Q_OVERFLOW) return handle(What::kLost, {}, "");
  auto it = folders_.find(event.wd);
  if (it == folders_.end()) return;
  Folder folder = it->second;  // a copy: the handler may change the map
  if (event.mask & IN_IGNORED) {
    folders_.erase(it);
    return;
  }
  if (event.mask & (IN_DELETE_SELF | IN_MOVE_SELF)) {
    if (folder.network.empty()) handle(What::kLost, folder, "");
    return;
  }
  std::string name = event.len ? event.name : "";
  if (name.empty() || name[0] == '.') return;
  if (event.mask & IN_ISDIR) return handle(What::kFolder, folder, name);
  if (folder.top || !name.ends_with(".json")) return;
  name.resize(name.size() - 5);
  handle(What::kDocument, folder, name);
}

Result<void> StateWatcher::drain(const Handler& handle) {
  alignas(inotify_event) char buffer[65536];
  for (;;) {
    ssize_t n = ::read(fd_.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return {};
    if (n < 0) return fail_errno("read", "inotify");
    for (ssize_t at = 0; at < n;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      dispatch(event, handle);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  }
}

}  // namespace fairlead
