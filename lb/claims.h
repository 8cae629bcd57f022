// Who may have what only one can have: published ports of the node, VIPs of a network. Pure.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "lb/model.h"

namespace fairlead::lb {

// Published ports. A port of every address collides with the same port of one address, as bind(2) has it.
class PortClaims {
 public:
  // The owner that stands in the way of key, or "".
  std::string holder(const HostPortKey& key) const;
  void take(const HostPortKey& key, const std::string& owner);

 private:
  // family, protocol, port → (host address or none, owner)
  std::map<std::tuple<int, uint8_t, uint16_t>, std::vector<std::pair<Address, std::string>>> taken_;
};

// A port in the router for a mapping that is bound to one address of the host: several of them may have the same port,
// and the router has one address per family. Derived from the key, so that it stays the same when others come and go.
uint16_t inner_port(const HostPortKey& key, const std::map<FrontendKey, Frontend>& taken, const Address& router);

}  // namespace fairlead::lb
