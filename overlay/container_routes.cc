#include "overlay/container_routes.h"

namespace fairlead::overlay {
namespace {

constexpr uint32_t kFurther = 1024;  // also what the kernel takes for metric 0 of IPv6: later ones must be above it
constexpr size_t kMaxDigits = 6;

Prefix everywhere(int family) {
  static const uint8_t zeros[16] = {};
  return Prefix{Address::from_bytes(family, zeros), 0};
}

}  // namespace

uint32_t interface_number(std::string_view ifname) {
  size_t begin = ifname.size();
  while (begin > 0 && ifname.size() - begin < kMaxDigits && ifname[begin - 1] >= '0' && ifname[begin - 1] <= '9')
    begin--;
  uint32_t number = 0;
  for (char c : ifname.substr(begin)) number = number * 10 + static_cast<uint32_t>(c - '0');
  return number;
}

uint32_t further_number(std::string_view ifname) {
  uint32_t number = interface_number(ifname);
  return number == 0 ? 0 : kFurther + number;
}

std::vector<ContainerRoute> container_routes(const Network& network, const std::vector<Address>& addresses,
                                             std::string_view ifname) {
  const uint32_t further = further_number(ifname);
  std::vector<ContainerRoute> routes;
  for (const auto& address : addresses) {
    auto gateway = network.gateway(address.family());
    const Prefix* subnet = network.subnet(address.family());
    if (!gateway || !subnet) continue;
    if (network.internal || further != 0) routes.push_back({*subnet, *gateway});
    if (network.internal) continue;
    routes.push_back({everywhere(address.family()), *gateway});
    routes.back().priority = further;
  }
  return routes;
}

SourceRouting source_routing(const Network& network, const std::vector<Address>& addresses, std::string_view ifname) {
  SourceRouting routing;
  const uint32_t further = further_number(ifname);
  if (further == 0 || network.internal) return routing;
  for (const auto& address : addresses) {
    auto gateway = network.gateway(address.family());
    if (!gateway || !network.subnet(address.family())) continue;
    ContainerRoute route{everywhere(address.family()), *gateway};
    // The metric matters where the kernel has no further tables and takes it for a route of the main one.
    route.priority = route.table = further;
    routing.routes.push_back(route);
    kernel::Rule rule{address.family(), further, 0, further};
    rule.from = address;
    routing.rules.push_back(rule);
  }
  return routing;
}

}  // namespace fairlead::overlay
