// Who may do what in a cluster: pure, one table (roles.cc). The managers ask it for every request; clients are not
// trusted to.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cluster/pki.h"

namespace fairlead::cluster {

enum class Verb { kRead, kWrite, kRemove };

// nullopt: allowed. Else one line for people that says who may not do what, and which role could. Keys are without the
// prefix of the store: "networks/appnet", "endpoints/appnet/n1/ab-eth0", and for what is no document "tokens/node".
std::optional<std::string> refusal(const Identity& who, Verb verb, std::string_view key);

bool is_role(std::string_view role);     // manager node operator viewer
bool takes_part(std::string_view role);  // has containers, a number and a place in the overlay: manager, node

}  // namespace fairlead::cluster
