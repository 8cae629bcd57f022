#include "lb/plan.h"

#include <sys/socket.h>

#include <algorithm>
#include <set>

#include "lb/claims.h"

namespace fairlead::lb {
namespace {

constexpr int kFamilies[] = {AF_INET, AF_INET6};

uint8_t protocol_number(const std::string& name) { return name == "udp" ? kUdp : name == "sctp" ? kSctp : kTcp; }

std::string id_of(const Service& s) { return "service " + s.network + "/" + s.name; }
std::string id_of(const Endpoint& e) { return "endpoint " + e.network + "/" + e.key(); }
std::string short_container(const Endpoint& e) { return "container " + e.container.substr(0, 12); }

uint32_t weight_of(const Service& service, const Endpoint& endpoint) {
  for (const auto& [name, weight] : service.weights) {
    bool named = name == endpoint.container ||
                 std::find(endpoint.names.begin(), endpoint.names.end(), name) != endpoint.names.end();
    for (const auto& a : endpoint.addresses) named = named || name == a.to_string();
    if (named) return weight;
  }
  return endpoint.weight();
}

class Planner {
 public:
  Planner(const Documents& documents, const StandingOf& standing, const Incumbents& incumbents)
      : docs_(documents), standing_(standing), incumbents_(incumbents) {}

  Plan run(Incumbents* claimed) {
    plan_routers();
    claim_vips();
    index_endpoints();
    for (const auto& [key, service] : docs_.services)
      if (service_is_planned(*service)) {
        plan_vip_frontends(*service);
        plan_checks(*service);
      }
    plan_published();
    if (claimed) *claimed = std::move(claimed_);
    return std::move(plan_);
  }

 private:
  // A published port somebody asks for: a service's port or a container's mapping.
  struct Wish {
    std::string id;     // "service appnet/web", "endpoint appnet/3f9c-eth0"
    std::string owner;  // for messages: "service appnet/web", "container 3f9c… of network appnet"
    const Service* service = nullptr;
    const ServicePort* port = nullptr;
    const Endpoint* endpoint = nullptr;
    const PortMapping* mapping = nullptr;
    std::vector<HostPortKey> keys;
  };

  void plan_routers();
  void claim_vips();
  void index_endpoints();
  void index_endpoint(const Endpoint& endpoint);
  bool is_remote(const Endpoint* endpoint) const { return remote_.count(endpoint) != 0; }
  std::string key_of(const Endpoint* endpoint) const;
  std::map<int, Address> usable_addresses(const Endpoint& endpoint, const Network& network);
  bool service_is_planned(const Service& service);
  std::vector<Backend> backends(const Service& service, uint16_t port, uint8_t protocol, int family);
  void plan_vip_frontends(const Service& service);
  void plan_checks(const Service& service);
  void plan_published();
  std::vector<Wish> wishes();
  bool take(const Wish& wish);
  void refuse(const Wish& wish, const std::string& why);
  void grant(const Wish& wish, const HostPortKey& key);
  void add_frontend(RouterPlan& router, Frontend frontend);
  void problem(const std::string& object, std::string text) { plan_.problems.emplace(object, std::move(text)); }

  const Documents& docs_;
  const StandingOf& standing_;
  const Incumbents& incumbents_;
  Incumbents claimed_;
  Plan plan_;
  PortClaims ports_;
  std::map<std::string, std::set<Address>> vips_;                   // network → VIPs in use
  std::map<Documents::Key, std::vector<Address>> vips_of_;          // service → VIPs it may have
  std::map<Documents::Key, std::vector<const Endpoint*>> members_;  // service → endpoints
  std::map<const Endpoint*, std::map<int, Address>> addresses_;
  std::set<const Endpoint*> remote_;
};

void Planner::plan_routers() {
  for (const auto& [name, router] : docs_.routers) {
    auto network = docs_.networks.find(name);
    if (network == docs_.networks.end()) continue;  // being taken down by the agent
    RouterPlan& plan = plan_.routers[name];
    plan.network = name;
    plan.netns = router->netns;
    plan.gateway4 = network->second->gateway(AF_INET).value_or(Address());
    plan.gateway6 = network->second->gateway(AF_INET6).value_or(Address());
    for (int family : kFamilies)
      if (auto pool = network->second->vip_pool(family)) plan.own.push_back(*pool);
    for (const auto& address : {router->router4, router->router6})
      if (address) plan.own.push_back({address, address.bits()});
  }
}

// Documents in their order, except that whoever had the VIP before comes first.
void Planner::claim_vips() {
  for (bool incumbents : {true, false}) {
    for (const auto& [key, service] : docs_.services) {
      auto network = docs_.networks.find(service->network);
      if (network == docs_.networks.end()) continue;
      for (const auto& vip : service->vips) {
        std::string what = "vip " + vip.to_string() + " " + service->network;
        auto before = incumbents_.find(what);
        if ((before != incumbents_.end() && before->second == id_of(*service)) != incumbents) continue;
        auto pool = network->second->vip_pool(vip.family());
        auto taken = claimed_.find(what);
        if (!pool || !pool->contains(vip)) {
          problem(id_of(*service), "VIP " + vip.to_string() + " is not in the VIP pool of network " + service->network +
                                       " (" + (pool ? pool->to_string() : "it has none of that family") +
                                       "): not served");
        } else if (taken != claimed_.end()) {
          problem(id_of(*service),
                  "VIP " + vip.to_string() + " belongs to " + taken->second + ": give one of them another");
        } else {
          claimed_[what] = id_of(*service);
          vips_[service->network].insert(vip);
          vips_of_[key].push_back(vip);
        }
      }
    }
  }
}

void Planner::index_endpoints() {
  for (const auto& [key, endpoint] : docs_.endpoints) index_endpoint(*endpoint);
  if (!docs_.remote_endpoints) return;
  for (const auto& [key, endpoint] : *docs_.remote_endpoints) {
    if (endpoint->services.empty()) continue;
    remote_.insert(endpoint.get());
    index_endpoint(*endpoint);
  }
}

void Planner::index_endpoint(const Endpoint& endpoint) {
  auto network = docs_.networks.find(endpoint.network);
  if (network == docs_.networks.end()) return;
  if (endpoint.services.empty() && endpoint.port_mappings.empty()) return;
  addresses_[&endpoint] = usable_addresses(endpoint, *network->second);
  for (const auto& name : endpoint.services) {
    auto& members = members_[{endpoint.network, name}];
    if (members.empty() || members.back() != &endpoint) members.push_back(&endpoint);
  }
}

// Two nodes may have containers of one id.
std::string Planner::key_of(const Endpoint* endpoint) const {
  return is_remote(endpoint) ? endpoint->node + "/" + endpoint->key() : endpoint->key();
}

// A backend that is not an address of this network would turn the balancer into a way around isolation
// (Kubernetes: CVE-2021-25737, -25740).
std::map<int, Address> Planner::usable_addresses(const Endpoint& endpoint, const Network& network) {
  std::map<int, Address> usable;
  for (const auto& address : endpoint.addresses) {
    const Prefix* subnet = network.subnet(address.family());
    std::string reason;
    if (!subnet || !subnet->contains(address))
      reason = "is outside the subnets of network " + network.name;
    else if (network.gateway(address.family()) == address)
      reason = "is the gateway of network " + network.name;
    else if (vips_[network.name].count(address))
      reason = "is a VIP";
    if (reason.empty())
      usable[address.family()] = address;
    else
      problem(id_of(endpoint), "address " + address.to_string() + " " + reason + ": not used as a backend");
  }
  return usable;
}

bool Planner::service_is_planned(const Service& service) {
  auto network = docs_.networks.find(service.network);
  if (network == docs_.networks.end()) {
    problem(id_of(service), "network " + service.network + " does not exist: not served");
    return false;
  }
  if (auto bad = scheduler_problem(service); !bad.empty()) {
    problem(id_of(service), bad);
    return false;
  }
  return plan_.routers.count(service.network) > 0;
}

std::vector<Backend> Planner::backends(const Service& service, uint16_t port, uint8_t protocol, int family) {
  std::vector<Backend> list;
  for (const Endpoint* endpoint : members_[{service.network, service.name}]) {
    if (endpoint->state == "starting") continue;
    Standing standing = endpoint->state == "stopping" ? Standing::kDraining : Standing::kServing;
    standing = std::max(standing, standing_(service, *endpoint, protocol));
    if (standing == Standing::kOut) continue;
    auto address = addresses_[endpoint].find(family);
    if (address == addresses_[endpoint].end()) continue;
    Backend backend{address->second, port, weight_of(service, *endpoint), key_of(endpoint)};
    if (standing == Standing::kDraining) backend.weight = 0;
    list.push_back(backend);
  }
  std::sort(list.begin(), list.end(), [](const Backend& a, const Backend& b) { return a.address < b.address; });
  auto same = [&](const Backend& a, const Backend& b) {
    if (a.address != b.address) return false;
    problem(id_of(service), "endpoints " + a.endpoint + " and " + b.endpoint + " have the same address " +
                                a.address.to_string() + ": only the first is used");
    return true;
  };
  list.erase(std::unique(list.begin(), list.end(), same), list.end());
  return list;
}

void Planner::add_frontend(RouterPlan& router, Frontend frontend) {
  for (const auto& backend : frontend.backends) router.hairpin.insert(backend.address);
  router.frontends[frontend.key] = std::move(frontend);
}

void Planner::plan_vip_frontends(const Service& service) {
  RouterPlan& router = plan_.routers[service.network];
  for (const auto& vip : vips_of_[{service.network, service.name}]) {
    router.vips.insert(vip);
    // LB-35: IPVS could mix families by tunnelling only.
    for (const Endpoint* endpoint : members_[{service.network, service.name}])
      if (!addresses_[endpoint].count(vip.family()))
        problem(id_of(service), "endpoint " + key_of(endpoint) + " has no usable " + (vip.is_v4() ? "IPv4" : "IPv6") +
                                    " address and cannot stand behind VIP " + vip.to_string());
    for (const auto& port : service.ports) {
      uint8_t protocol = protocol_number(port.protocol);
      auto target = static_cast<uint16_t>(port.target);
      add_frontend(router, Frontend{{vip, protocol, static_cast<uint16_t>(port.port)},
                                    service.name,
                                    service.scheduler,
                                    service.affinity_seconds,
                                    backends(service, target, protocol, vip.family())});
    }
  }
}

void Planner::plan_checks(const Service& service) {
  if (!service.health) return;
  uint16_t port = health_port(service);
  if (port == 0) {
    problem(id_of(service),
            "health: the service has no TCP port to check; name one in health.port. Until then its endpoints count as "
            "healthy");
    return;
  }
  const RouterPlan& router = plan_.routers[service.network];
  for (const Endpoint* endpoint : members_[{service.network, service.name}]) {
    const auto& addresses = addresses_[endpoint];
    if (endpoint->state == "starting" || addresses.empty() || is_remote(endpoint)) continue;
    const Address& address = addresses.begin()->second;  // IPv4 when there is one
    const Address& source = address.is_v4() ? router.gateway4 : router.gateway6;
    plan_.checks[{service.network, service.name, endpoint->key()}] = {source, address, port, *service.health};
  }
}

std::vector<Planner::Wish> Planner::wishes() {
  std::vector<Wish> list;
  for (const auto& [key, service] : docs_.services) {
    if (!plan_.routers.count(service->network) || !scheduler_problem(*service).empty()) continue;
    for (const auto& port : service->ports) {
      if (port.published == 0) continue;
      Wish wish{id_of(*service), id_of(*service), service.get(), &port, nullptr, nullptr, {}};
      for (int family : kFamilies)
        if (docs_.networks.at(service->network)->subnet(family))
          wish.keys.push_back({family, {}, protocol_number(port.protocol), static_cast<uint16_t>(port.published)});
      list.push_back(std::move(wish));
    }
  }
  for (const auto& [key, endpoint] : docs_.endpoints) {
    if (endpoint->port_mappings.empty() || !plan_.routers.count(endpoint->network)) continue;
    plan_.mappings[key].attempt = endpoint->attempt;
    for (const auto& mapping : endpoint->port_mappings) {
      Wish wish{id_of(*endpoint),
                short_container(*endpoint) + " of network " + endpoint->network,
                nullptr,
                nullptr,
                endpoint.get(),
                &mapping,
                {}};
      auto host_ip = Address::parse(mapping.host_ip.empty() ? "0.0.0.0" : mapping.host_ip);
      if (!host_ip) continue;  // the decoder refuses it
      for (int family : kFamilies) {
        if (!mapping.host_ip.empty() && host_ip->family() != family) continue;
        if (!addresses_[endpoint.get()].count(family)) continue;
        wish.keys.push_back({family, host_ip->is_unspecified() ? Address() : *host_ip,
                             protocol_number(mapping.protocol), static_cast<uint16_t>(mapping.host_port)});
      }
      list.push_back(std::move(wish));
    }
  }
  return list;
}

void Planner::plan_published() {
  std::vector<Wish> all = wishes();
  auto incumbent = [&](const Wish& wish) {
    for (const auto& key : wish.keys) {
      auto holder = incumbents_.find(key.to_string());
      if (holder != incumbents_.end() && holder->second == wish.id) return true;
    }
    return false;
  };
  std::stable_partition(all.begin(), all.end(), incumbent);
  std::vector<const Wish*> granted;
  // Podman hands a container's ports to each of its networks: it has them by one, the others stand by.
  std::map<std::string, std::string> containers;
  auto stands_by = [&](const Wish& wish, const HostPortKey& key) {
    auto holder = containers.find(key.to_string());
    return wish.endpoint && holder != containers.end() && holder->second == wish.endpoint->container;
  };
  for (const auto& wish : all) {
    if (std::any_of(wish.keys.begin(), wish.keys.end(), [&](const auto& key) { return stands_by(wish, key); }))
      continue;
    if (!take(wish)) continue;
    granted.push_back(&wish);
    for (const auto& key : wish.keys) containers[key.to_string()] = wish.endpoint ? wish.endpoint->container : "";
  }
  // Ports of one address get what the others leave free in the router.
  for (bool one_address : {false, true})
    for (const Wish* wish : granted)
      for (const auto& key : wish->keys)
        if (static_cast<bool>(key.host_ip) == one_address) grant(*wish, key);
}

// All families of a wish or none: half a published port would be a trap.
bool Planner::take(const Wish& wish) {
  if (wish.keys.empty() && wish.mapping) {
    refuse(wish, wish.mapping->protocol + " port " + std::to_string(wish.mapping->host_port) +
                     (wish.mapping->host_ip.empty() ? "" : " of " + wish.mapping->host_ip) +
                     ": the container has no usable address of that family");
    return false;
  }
  for (const auto& key : wish.keys) {
    std::string holder = ports_.holder(key);
    if (holder.empty()) continue;
    refuse(wish, "published " + key.to_string() + " of " + wish.owner + " is already published by " + holder +
                     ": not published; choose another port for one of them");
    return false;
  }
  for (const auto& key : wish.keys) {
    ports_.take(key, wish.owner);
    claimed_[key.to_string()] = wish.id;
  }
  return true;
}

void Planner::refuse(const Wish& wish, const std::string& why) {
  problem(wish.id, why);
  if (!wish.endpoint) return;
  auto& told = plan_.mappings[{wish.endpoint->network, wish.endpoint->key()}].problem;
  if (told.empty()) told = why;
}

void Planner::grant(const Wish& wish, const HostPortKey& key) {
  const std::string& network = wish.service ? wish.service->network : wish.endpoint->network;
  RouterPlan& router = plan_.routers[network];
  const Router& record = *docs_.routers.at(network);
  Address address = key.family == AF_INET ? record.router4 : record.router6;
  if (!address) return;
  uint16_t port = key.host_ip ? inner_port(key, router.frontends, address) : key.port;
  Frontend frontend{{address, key.protocol, port}, "", "rr", 0, {}};
  if (wish.service) {
    frontend.service = wish.service->name;
    frontend.scheduler = wish.service->scheduler;
    frontend.affinity_seconds = wish.service->affinity_seconds;
    frontend.backends = backends(*wish.service, static_cast<uint16_t>(wish.port->target), key.protocol, key.family);
  } else {
    frontend.service = short_container(*wish.endpoint);
    frontend.backends = {{addresses_[wish.endpoint].at(key.family), static_cast<uint16_t>(wish.mapping->container_port),
                          wish.endpoint->state == "stopping" ? 0u : 1u, wish.endpoint->key()}};
    plan_.mappings[{network, wish.endpoint->key()}].frontends.push_back(frontend.key);
  }
  add_frontend(router, std::move(frontend));
  plan_.host.ports[key] = {address, port};
  if (key.family == AF_INET6) plan_.host.loopback6[record.uplink] = record.index;
}

}  // namespace

Plan make_plan(const Documents& documents, const StandingOf& standing, const Incumbents& incumbents,
               Incumbents* claimed) {
  return Planner(documents, standing, incumbents).run(claimed);
}

}  // namespace fairlead::lb
