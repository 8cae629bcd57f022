// A small world for unit tests: network appnet on this node's router, services and endpoints added in one line each.
#pragma once

#include <sys/socket.h>

#include <map>
#include <memory>
#include <string>

#include "lb/plan.h"

namespace fairlead::lb {

inline Address ip(const std::string& text) { return Address::parse(text).value(); }

struct World {
  std::map<std::string, std::shared_ptr<const Network>> networks;
  std::map<Documents::Key, std::shared_ptr<const Service>> services;
  std::map<Documents::Key, std::shared_ptr<const Endpoint>> endpoints, remote;
  std::map<std::string, std::shared_ptr<const Router>> routers;

  World() { add_network("appnet", 4097, 1, {"10.32.0.0/16", "fd32::/64"}); }

  void add_network(const std::string& name, uint32_t vni, uint32_t index, std::vector<std::string> subnets) {
    Network network;
    network.name = name;
    network.vni = vni;
    for (const auto& s : subnets) network.subnets.push_back(Prefix::parse(s).value());
    networks[name] = std::make_shared<const Network>(network);
    Router router;
    router.network = name;
    router.vni = vni;
    router.index = index;
    router.netns = "fl-" + name;
    router.uplink = "ul" + std::to_string(vni);
    router.router4 = ip("169.254.64.1").plus(2 * index);
    router.router6 = ip("fd57:64::2").plus(65536 * index);
    routers[name] = std::make_shared<const Router>(router);
  }

  static Service web() {
    Service s;
    s.network = "appnet";
    s.name = "web";
    s.vips = {ip("10.32.255.1"), ip("fd32::ffff:1")};
    s.ports = {{"tcp", 80, 8080, 0, "ingress"}};
    return s;
  }
  void put(const Service& s) { services[{s.network, s.name}] = std::make_shared<const Service>(s); }

  // task(2) has 10.32.0.2, fd32::2 and the name t2
  static Endpoint task(unsigned n, const std::string& service = "web", const std::string& network = "appnet") {
    Endpoint e;
    e.network = network;
    e.container = "t" + std::to_string(n);
    e.ifname = "eth0";
    e.addresses = {ip("10.32.0.0").plus(n), ip("fd32::").plus(n)};
    e.names = {"t" + std::to_string(n)};
    if (!service.empty()) e.services = {service};
    return e;
  }
  void put(const Endpoint& e) { endpoints[{e.network, e.key()}] = std::make_shared<const Endpoint>(e); }

  // As another node has it.
  void put_remote(Endpoint e, const std::string& node) {
    e.node = node;
    remote[{e.network, node + "/" + e.key()}] = std::make_shared<const Endpoint>(e);
  }

  Plan plan(const Incumbents& incumbents = {}, Incumbents* claimed = nullptr) const {
    auto serving = [](const Service&, const Endpoint&, uint8_t) { return Standing::kServing; };
    return make_plan({networks, services, endpoints, routers, &remote}, serving, incumbents, claimed);
  }
};

}  // namespace fairlead::lb
