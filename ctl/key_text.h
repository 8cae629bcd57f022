// Which keys nodes have in encrypted networks: fingerprints of the public ones (docs/encryption.md), never a key.
#pragma once

#include <string>

#include "base/json.h"
#include "ctl/context.h"

namespace fairlead::ctl {

// [{"node","sealKey","wireguardKey"}]: as state/nodes says; a field is missing when the node has not told that key.
Json key_fingerprints(Context& context);
// "n1 62a520625f8fb702, n2 none" of one of the two; encryption: ipsec (seal keys) or wireguard.
std::string key_sentence(const Json& keys, const std::string& encryption);

}  // namespace fairlead::ctl
