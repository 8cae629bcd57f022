// Where every document of the state directory lives. docs/state-directory.md lists writers, readers and lifetimes.
// Names must have been validated (base/names.h) before they are passed here; the functions refuse nothing.
#pragma once

#include <string>
#include <string_view>

namespace fairlead {

struct Paths {
  std::string state = "/var/lib/fairlead";
  std::string run = "/run/fairlead";

  // Environment FAIRLEAD_STATE_DIR and FAIRLEAD_RUN_DIR over the defaults.
  static Paths from_environment();

  std::string networks() const { return state + "/networks"; }
  std::string network(std::string_view name) const { return networks() + "/" + std::string(name) + ".json"; }
  // Of this node: its name, its balancer.
  std::string node_document() const { return state + "/node.json"; }
  std::string nodes() const { return state + "/nodes"; }
  std::string node(std::string_view name) const { return nodes() + "/" + std::string(name) + ".json"; }
  std::string blocks() const { return state + "/blocks"; }
  std::string blocks(std::string_view network) const { return blocks() + "/" + std::string(network); }
  std::string blocks(std::string_view network, std::string_view node) const {
    return blocks(network) + "/" + std::string(node) + ".json";
  }
  std::string services() const { return state + "/services"; }
  std::string services(std::string_view network) const { return services() + "/" + std::string(network); }
  std::string service(std::string_view network, std::string_view name) const {
    return services(network) + "/" + std::string(name) + ".json";
  }
  std::string endpoints() const { return run + "/endpoints"; }
  std::string endpoints(std::string_view network) const { return endpoints() + "/" + std::string(network); }
  std::string endpoint(std::string_view network, std::string_view container, std::string_view ifname) const;
  std::string reservations(std::string_view network) const { return state + "/reservations/" + std::string(network); }
  std::string reservation(std::string_view network, std::string_view name) const {
    return reservations(network) + "/" + std::string(name) + ".json";
  }
  // Reserved addresses by address: an index of the documents above, of this boot.
  std::string reserved(std::string_view network) const { return run + "/reserved/" + std::string(network); }
  std::string sticky(std::string_view network) const { return state + "/sticky/" + std::string(network); }
  // Health of a service's local endpoints as fairlead-lb sees it.
  std::string health() const { return run + "/health"; }
  std::string health(std::string_view network, std::string_view service) const {
    return health() + "/" + std::string(network) + "/" + std::string(service) + ".json";
  }
  // What became of an endpoint's port mappings, as fairlead-lb sees it. attachment: attachment_key().
  std::string ports() const { return run + "/ports"; }
  std::string ports(std::string_view network) const { return ports() + "/" + std::string(network); }
  std::string port_report(std::string_view network, std::string_view attachment) const {
    return ports(network) + "/" + std::string(attachment) + ".json";
  }
  // lock_key() on it with attachment_lock_key(): whoever makes or removes an attachment.
  std::string attachments_lock() const { return run + "/attachments.lock"; }
  std::string leases(std::string_view network) const { return run + "/leases/" + std::string(network); }
  std::string lease_owners() const { return run + "/lease-owners"; }
  // What fairlead-agent realised for a network on this node.
  std::string routers() const { return run + "/routers"; }
  std::string router(std::string_view network) const { return routers() + "/" + std::string(network) + ".json"; }
  std::string socket(std::string_view daemon) const { return run + "/" + std::string(daemon) + ".sock"; }
};

// The file name (without ".json") of an attachment: CONTAINER-IFNAME, the container id replaced by a hash
// when the name would be longer than a file name may be (container ids have no upper limit in the CNI spec).
std::string attachment_key(std::string_view container, std::string_view ifname);
std::string attachment_lock_key(std::string_view network, std::string_view container, std::string_view ifname);

}  // namespace fairlead
