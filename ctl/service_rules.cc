#include "ctl/service_rules.h"

#include <algorithm>
#include <string>

#include "base/names.h"
#include "state/address_plan.h"

namespace fairlead::ctl {
namespace {

bool is_same(const Service& a, const Service& b) { return a.network == b.network && a.name == b.name; }

std::string full_name(const Service& s) { return "service " + s.name + " of network " + s.network; }

}  // namespace

Result<void> give_vips(Service& service, const Network& network, const std::vector<Service>& others) {
  if (service.endpoint_mode != "vip" || !service.vips.empty()) return {};
  std::vector<Address> taken;
  for (const auto& other : others)
    if (other.network == service.network && !is_same(other, service))
      taken.insert(taken.end(), other.vips.begin(), other.vips.end());
  auto vips = plan_vips(network, service.name, taken);
  if (!vips)
    return fail("service " + service.name + ": " + vips.error().message +
                "; use --endpoint-mode dnsrr or a larger network");
  service.vips = std::move(*vips);
  return {};
}

Result<void> check_vips(const Service& service, const Network& network, const std::vector<Service>& others) {
  for (const auto& vip : service.vips) {
    auto pool = network.vip_pool(vip.family());
    std::string what = "service " + service.name + ": VIP " + vip.to_string();
    if (!pool)
      return fail(what + ": network " + network.name + " has no VIP pool for this address family; leave --vip out or " +
                  "recreate the network with a subnet of it");
    if (!pool->contains(vip))
      return fail(what + " is not in the VIP pool of network " + network.name + ", which is " + pool->to_string());
    const Prefix* subnet = network.subnet(vip.family());
    if (vip.is_v4() && vip == subnet->last())
      return fail(what + " is the broadcast address of subnet " + subnet->to_string() + "; choose another");
    for (const auto& other : others)
      if (other.network == service.network && !is_same(other, service) &&
          std::find(other.vips.begin(), other.vips.end(), vip) != other.vips.end())
        return fail(what + " belongs to " + full_name(other) + "; choose another, or none to have a free one chosen");
  }
  return {};
}

Result<void> check_published(const Service& service, const std::vector<Service>& others,
                             const std::vector<Endpoint>& endpoints) {
  for (const auto& port : service.ports) {
    if (!port.published) continue;
    std::string number = std::to_string(port.published) + "/" + port.protocol;
    std::string what = "service " + service.name + ": published port " + number;
    auto same = [&](const ServicePort& p) { return p.published == port.published && p.protocol == port.protocol; };
    for (const auto& other : others)
      if (!is_same(other, service) && std::any_of(other.ports.begin(), other.ports.end(), same))
        return fail(what + " belongs to " + full_name(other) + "; choose another");
    if (std::count_if(service.ports.begin(), service.ports.end(), same) > 1)
      return fail(what + " is given twice; choose another for one of the two");
    for (const auto& endpoint : endpoints)
      for (const auto& mapping : endpoint.port_mappings)
        if (mapping.host_port == port.published && mapping.protocol == port.protocol)
          return fail(what + " belongs to container " + std::string(short_id(endpoint.container)) + " of network " +
                      endpoint.network + "; choose another or stop the container");
  }
  return {};
}

}  // namespace fairlead::ctl
