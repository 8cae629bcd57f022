// Network namespaces by file descriptor. Threads: entering a namespace concerns the calling thread only
// (setns(2) with CLONE_NEWNET; the flag is always given, a systemd unit with RestrictNamespaces=net demands it).
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace fairlead::kernel {

inline constexpr const char* kNetnsFolder = "/run/netns";

// Opens a path to a network namespace. Error sys ENOENT when it is missing, EINVAL when it is something else.
Result<Fd> open_netns(const std::string& path);
Result<Fd> own_netns();
Result<bool> same_netns(int a, int b);

// Runs f inside the namespace and comes back, whatever f returned.
Result<void> in_netns(int netns, const std::function<Result<void>()>& f);

// A new, empty namespace that ends with the descriptor unless it is pinned: what is half made when its maker is killed
// is gone.
Result<Fd> make_netns();
// Makes it /run/netns/NAME. false when that name is a living namespace already (this one or another).
Result<bool> pin_netns(int netns, const std::string& name);

// A namespace pinned as /run/netns/NAME, as `ip netns add` does it. false when it was there and is alive.
// A file left by a dead namespace (no mount on it) is replaced.
Result<bool> create_pinned_netns(const std::string& name);
Result<bool> remove_pinned_netns(const std::string& name);
inline std::string netns_path(std::string_view name) { return std::string(kNetnsFolder) + "/" + std::string(name); }

}  // namespace fairlead::kernel
