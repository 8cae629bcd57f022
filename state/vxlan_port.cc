#include "state/vxlan_port.h"

#include <tuple>

namespace fairlead {
namespace {

auto rank(const Network& n) { return std::make_tuple(n.vxlan_port != 0, n.encryption == "none", n.name); }

bool collide(const Network& a, const Network& b) {
  return a.name != b.name && a.encryption != b.encryption && vxlan_port(a) == vxlan_port(b);
}

std::string sentence(const Network& network, const std::string& whose) {
  return "network " + network.name + ": UDP port " + std::to_string(vxlan_port(network)) + " is that of " + whose +
         ", and this one's encryption is " + network.encryption + "; give it another vxlanPort";
}

std::string of_network(const Network& network, const Network& other) {
  return sentence(network, "network " + other.name + " with encryption " + other.encryption);
}

}  // namespace

uint16_t vxlan_port(const Network& network) {
  if (network.vxlan_port) return static_cast<uint16_t>(network.vxlan_port);
  if (network.encryption == "none") return kVxlanPort;
  return network.encryption == "wireguard" ? kWireguardVxlanPort : kIpsecVxlanPort;
}

std::string port_conflict(const Network& network, const std::vector<Network>& all) {
  for (const auto& other : all)
    if (collide(network, other) && rank(other) < rank(network)) return of_network(network, other);
  Network usual;  // one that may come
  for (const char* encryption : {"none", "ipsec", "wireguard"}) {
    usual.encryption = encryption;
    if (collide(network, usual)) return sentence(network, std::string("networks with encryption ") + encryption);
  }
  return "";
}

std::string port_taken(const Network& network, const std::vector<Network>& others) {
  for (const auto& other : others)
    if (collide(network, other)) return of_network(network, other);
  return port_conflict(network, {});
}

}  // namespace fairlead
