// What a manager says first to a host that joins: its root certificate, and a signature of its authority over this
// very connection. So the host knows before it sends anything that it speaks to a manager of the cluster its token
// names, not to somebody who has only read the store. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "cluster/pki.h"
#include "cluster/token.h"

namespace fairlead::cluster {

Result<Json> make_hello(const Authority& authority, const std::string& cluster, const std::string& binding,
                        int64_t now);
// binding is that of the host's end of the connection.
Result<void> check_hello(const Json& hello, const Token& token, const std::string& binding, int64_t now);

}  // namespace fairlead::cluster
