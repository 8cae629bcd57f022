// What fairlead-agent can be told on its command line beyond the common options.
#pragma once

#include <chrono>

namespace fairlead::agent {

struct Settings {
  // How long something dead (agent/collector.h) is kept before it is released: a DEL may still be on its way.
  std::chrono::milliseconds endpoint_grace{60000};
  // How long an address block has to be without a lease before it is given back to the cluster (agent/block_keeper.h).
  std::chrono::milliseconds block_spare{600000};
};

}  // namespace fairlead::agent
