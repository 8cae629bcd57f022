// How full the subnets of networks are, in text and JSON.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "ctl/context.h"
#include "ipam/capacity.h"

namespace fairlead::ctl {

// Of one network; what cannot be counted becomes a warning and is left out.
std::vector<ipam::PoolUse> read_pools(Context& context, const Network& network);

// "12/61438"; a pool nobody can fill is not given a number of twenty digits: "12/2^62".
std::string fraction(const ipam::PoolUse& pool);
// "10.32.0.0/16 12/61438 (1 reserved)"
std::string sentence(const ipam::PoolUse& pool);
Json json_of(const ipam::PoolUse& pool);

// Warnings about pools that are nearly full.
std::vector<std::string> capacity_warnings(const std::string& network, const std::vector<ipam::PoolUse>& pools);

// "n1: 10.32.0.0/26 10.32.0.64/26 (12/126)"; one for each node that has blocks of the network.
std::vector<std::string> block_texts(Context& context, const Network& network);
// {"n1": ["10.32.0.0/26", …]}
Json block_json(Context& context, const std::string& network);
// {"n1": {"used": 12, "size": 62}}: by the endpoints this node knows; of networks it has no part in it knows its own
// only.
Json block_use_json(Context& context, const Network& network);

}  // namespace fairlead::ctl
