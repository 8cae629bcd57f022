// From the records of the state directory to snapshots. A change costs what it touches: its names, its service, its
// container's other networks; never the 10,000 endpoints beside it.
// Threads: one; the snapshots it gives out are immutable and may be read by any.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "dns-sidecar/name_index.h"
#include "dns-sidecar/zone.h"
#include "state/records.h"

namespace fairlead::dns {

class ZoneBuilder {
 public:
  // A null record: it is gone.
  void set_network(const std::string& name, std::shared_ptr<const Network> record);
  void set_service(const std::string& network, const std::string& name, std::shared_ptr<const Service> record);
  void set_endpoint(const std::string& network, const std::string& key, std::shared_ptr<const Endpoint> record);
  // node: whose document it is; "" for this node's. Another node's endpoints have the key "node/attachment key".
  void set_health(const std::string& network, const std::string& service, const std::string& node,
                  std::shared_ptr<const ServiceHealth> record);

  // The number of a network, given on first use and never to another one.
  uint32_t slot(const std::string& network) { return model(network).slot; }
  std::shared_ptr<const Snapshot> publish();

 private:
  using Key = std::pair<std::string, std::string>;  // network, attachment key
  struct ServiceModel {
    std::shared_ptr<const Service> record;
    std::map<std::string, std::shared_ptr<const Endpoint>> tasks;
    std::set<std::string> unhealthy;  // keys as of tasks
  };
  struct AddressClaim {
    std::string owner;
    std::shared_ptr<const Endpoint> endpoint;  // null: a VIP
    std::vector<Candidate> names;
  };
  struct Model {
    uint32_t slot = 0;
    std::string suffix;
    std::shared_ptr<const Network> record;
    std::map<std::string, std::shared_ptr<const Endpoint>> endpoints;
    std::map<std::string, ServiceModel> services;
    NameIndex names;
    std::unordered_map<Address, std::vector<AddressClaim>> addresses;
    Table<AddressNode> address_table;
    std::set<std::string> touched_services;
    std::set<Address> touched_addresses;
    bool dirty = false;
  };

  Model& model(const std::string& network);
  void claim_addresses(Model& m, const std::string& owner, const std::vector<Address>& addresses,
                       const AddressClaim* claim);
  void touch_service(Model& m, const std::string& service);
  void update_service(Model& m, const std::string& name);
  void update_addresses(Model& m, const std::string& network);
  std::vector<uint32_t> networks_of(const std::string& network, const Endpoint& endpoint);
  std::shared_ptr<const Zone> make_zone(const std::string& name, Model& m);

  std::map<std::string, Model> models_;
  std::map<std::string, std::set<Key>> containers_;
  std::vector<std::shared_ptr<const Zone>> zones_;
  std::shared_ptr<const SubnetIndex> subnets_ = std::make_shared<SubnetIndex>();
  bool subnets_dirty_ = false;
  uint64_t version_ = 0;
};

}  // namespace fairlead::dns
