// Which number a network's uplink has on this node: the uplink's addresses and MACs come from it, so no two routers may
// share one. A reservation is an empty file run/routers/.index/NUMBER-NETWORK, made before anything in the kernel, so
// that a network whose making was interrupted gets the same number again. Concurrency: under the lock
// run/routers/.lock. Reading the folder tells which networks have anything in this node's kernel.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "state/paths.h"

namespace fairlead::agent {

inline constexpr uint32_t kMaxUplinkIndex = 8191;  // 169.254.64.0/18 has 8192 pairs

// network → number
Result<std::map<std::string, uint32_t>> reserved_indexes(const Paths& paths);
// The network's number: the one it has, else preferred if nobody has it, else the lowest free one.
Result<uint32_t> reserve_index(const Paths& paths, const std::string& network, std::optional<uint32_t> preferred);
Result<void> release_index(const Paths& paths, const std::string& network);

}  // namespace fairlead::agent
