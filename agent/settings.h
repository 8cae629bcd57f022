// What fairlead-agent can be told on its command line beyond the common options.
#pragma once

#include <chrono>

namespace fairlead::agent {

struct Settings {
  // How long an endpoint whose namespace and link are both gone is kept before its document and addresses are released:
  // a DEL may still be on its way.
  std::chrono::milliseconds endpoint_grace{60000};
};

}  // namespace fairlead::agent
