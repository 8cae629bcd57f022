// How encrypted networks stand, as fairlead-agent tells it (agent/ipsec_status.h), for people.
#pragma once

#include <string>

#include "base/json.h"
#include "ctl/context.h"

namespace fairlead::ctl {

// The agent's list of peers; null when it does not answer or no network is encrypted.
Json ipsec_of_agent(Context& context);

// "n2: sends 0x57001042 (epoch 42-9f3ac1d2), receives 0x57003301; n3: no association, nothing passes". "" for null.
std::string ipsec_sentence(const Json& peers);
// "2 of 3 nodes; nothing passes to n3"
std::string ipsec_summary(const Json& peers);

}  // namespace fairlead::ctl
