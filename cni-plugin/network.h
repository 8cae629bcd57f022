// The network and its router on this node, made on first use: attaching works with no daemon running.
#pragma once

#include "base/cni.h"
#include "base/fd.h"
#include "cni-plugin/config.h"
#include "state/paths.h"

namespace fairlead::plugin {

// The network's document. When there is none it is made from the configuration; the subnets come from it, from the
// IPAM's configuration, from `granted` (what a foreign IPAM has just given), or are chosen. nullopt: not yet possible,
// ask again with what the IPAM granted.
cni::CniResult<std::optional<Network>> ensure_network(const Paths& paths, const cni::Request& request,
                                                      const Config& config, const std::vector<Prefix>& granted = {});

struct OpenRouter {
  Router record;
  Fd netns;
};
// The router, made by `fairlead-agent realise` when it is missing or dead.
cni::CniResult<OpenRouter> ensure_router(const Paths& paths, const std::string& network);

// The router as it is; nullopt when there is none.
Result<std::optional<OpenRouter>> find_router(const Paths& paths, const std::string& network);

// Path of fairlead-agent: beside this program, else where packages put it. Empty when it is nowhere.
std::string find_agent();

}  // namespace fairlead::plugin
