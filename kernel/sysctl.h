// Settings below /proc/sys/net of the calling thread's namespace, at a cost that does not grow with the number of
// namespaces.
//
// In the machine's /proc the names of every namespace's settings hang in the same chains of the dentry cache, and
// looking one up passes everybody else's (proc_sys_compare in fs/proc/proc_sysctl.c): with a thousand namespaces a
// first look takes a millisecond. A procfs mounted for ourselves and nobody else has its own cache and ends with the
// descriptor. Cost: 50 µs to open, about 0.5 ms of waiting when it is closed; worth it from two or three settings on.
// Threads: stateless after open(); where it may not mount, it uses /proc.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace fairlead::kernel {

class SysctlTree {
 public:
  static SysctlTree open();
  // key as "net/ipv4/ip_forward". nullopt or false when the kernel has no such key.
  Result<std::optional<std::string>> read(std::string_view key) const;
  Result<bool> write(std::string_view key, std::string_view value) const;

 private:
  explicit SysctlTree(Fd root) : root_(std::move(root)) {}
  Result<std::optional<Fd>> open_key(std::string_view key, int flags) const;
  Fd root_;  // of a procfs
};

}  // namespace fairlead::kernel
