// Which network namespace a container's path led to when it was attached: the number (inode) the kernel calls it by,
// written into documents beside the path, so that it can be told later whether that namespace is still there.
//
// The kernel uses freed numbers again. So a path that leads to another number proves that the one written down is not
// there any more; one that leads to the same number is taken for the same namespace, and what belongs to it is kept.
// Threads: stateless. The path is looked up in the caller's mount namespace.
#pragma once

#include <cstdint>
#include <string>

namespace fairlead {

// 0: there is no network namespace at path, or it cannot be looked at.
uint32_t netns_inode(const std::string& path);

// kThere: path leads to it. kGone: path leads nowhere, to something that is no namespace, or to another one.
// kUnknown: it could not be looked at (no permission, an empty path): evidence of nothing.
enum class NetnsState { kThere, kGone, kUnknown };
// inode 0: it was not written down; any namespace at path counts as the one.
NetnsState netns_state(const std::string& path, uint32_t inode);

}  // namespace fairlead
