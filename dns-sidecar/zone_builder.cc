#include "dns-sidecar/zone_builder.h"

#include <sys/socket.h>

#include <algorithm>
#include <ctime>

#include "dns-sidecar/wire.h"

namespace fairlead::dns {
namespace {

// Two nodes may have containers of one id; what one sees is no business of the other. '/' is in no id and no name.
std::string identity_of(const Endpoint& endpoint) { return endpoint.node + "/" + endpoint.container; }

}  // namespace

ZoneBuilder::Model& ZoneBuilder::model(const std::string& network) {
  auto [it, fresh] = models_.try_emplace(network);
  if (fresh) {
    it->second.slot = static_cast<uint32_t>(zones_.size());
    it->second.suffix = wire_name(network).value_or("");
    zones_.emplace_back();
  }
  return it->second;
}

void ZoneBuilder::set_network(const std::string& name, std::shared_ptr<const Network> record) {
  Model& m = model(name);
  m.record = std::move(record);
  m.dirty = true;
  subnets_dirty_ = true;
}

void ZoneBuilder::touch_service(Model& m, const std::string& service) {
  m.touched_services.insert(service);
  m.dirty = true;
}

void ZoneBuilder::set_service(const std::string& network, const std::string& name,
                              std::shared_ptr<const Service> record) {
  Model& m = model(network);
  ServiceModel& service = m.services[name];
  const std::string owner = "s:" + name;
  if (service.record) claim_addresses(m, owner, service.record->vips, nullptr);
  service.record = std::move(record);
  if (auto wire = wire_name(name); service.record && wire) {
    AddressClaim claim{owner, nullptr, {{*wire, Rank::kService}}};
    claim_addresses(m, owner, service.record->vips, &claim);
  }
  touch_service(m, name);
}

void ZoneBuilder::set_health(const std::string& network, const std::string& service, const std::string& node,
                             std::shared_ptr<const ServiceHealth> record) {
  Model& m = model(network);
  auto& unhealthy = m.services[service].unhealthy;
  const std::string prefix = node.empty() ? "" : node + "/";
  std::erase_if(unhealthy, [&](const std::string& key) {
    return node.empty() ? key.find('/') == key.npos : key.starts_with(prefix);
  });
  if (record)
    for (const auto& key : record->unhealthy) unhealthy.insert(prefix + key);
  touch_service(m, service);
}

void ZoneBuilder::set_endpoint(const std::string& network, const std::string& key,
                               std::shared_ptr<const Endpoint> record) {
  Model& m = model(network);
  const std::string owner = "e:" + key;
  std::set<std::string> containers;
  if (auto it = m.endpoints.find(key); it != m.endpoints.end()) {
    const Endpoint& old = *it->second;
    for (const auto& service : old.services) {
      m.services[service].tasks.erase(key);
      touch_service(m, service);
    }
    claim_addresses(m, owner, old.addresses, nullptr);
    containers_[identity_of(old)].erase({network, key});
    containers.insert(identity_of(old));
    m.endpoints.erase(it);
  }
  m.names.set(owner, record ? claims_of(*record) : std::vector<Claim>());
  if (record) {
    m.endpoints[key] = record;
    for (const auto& service : record->services) {
      m.services[service].tasks[key] = record;
      touch_service(m, service);
    }
    AddressClaim claim{owner, record, candidates_of(*record)};
    claim_addresses(m, owner, record->addresses, &claim);
    containers_[identity_of(*record)].insert({network, key});
    containers.insert(identity_of(*record));
  }
  m.dirty = true;
  // The container's other attachments see one network more or less.
  for (const auto& container : containers) {
    for (const auto& [net, attachment] : containers_[container]) {
      Model& other = models_[net];
      const auto& addresses = other.endpoints[attachment]->addresses;
      other.touched_addresses.insert(addresses.begin(), addresses.end());
      other.dirty = true;
    }
    if (containers_[container].empty()) containers_.erase(container);
  }
}

// claim == nullptr: owner's claims on these addresses end.
void ZoneBuilder::claim_addresses(Model& m, const std::string& owner, const std::vector<Address>& addresses,
                                  const AddressClaim* claim) {
  for (const auto& address : addresses) {
    auto& claims = m.addresses[address];
    claims.erase(std::remove_if(claims.begin(), claims.end(), [&](const auto& c) { return c.owner == owner; }),
                 claims.end());
    if (claim) claims.push_back(*claim);
    m.touched_addresses.insert(address);
    m.dirty = true;
  }
}

void ZoneBuilder::update_service(Model& m, const std::string& name) {
  auto it = m.services.find(name);
  if (it == m.services.end()) return;
  ServiceModel& service = it->second;
  std::vector<Claim> claims;
  if (service.record || !service.tasks.empty()) {
    std::vector<Task> tasks;
    for (const auto& [key, endpoint] : service.tasks) tasks.push_back({endpoint, service.unhealthy.count(key) == 0});
    claims = claims_of(name, service.record.get(), tasks, m.suffix);
  } else if (service.unhealthy.empty()) {
    m.services.erase(it);
  }
  m.names.set("s:" + name, std::move(claims));
}

// The network asked comes first, then the container's others by interface (eth0 before eth1 before eth10).
std::vector<uint32_t> ZoneBuilder::networks_of(const std::string& network, const Endpoint& endpoint) {
  std::vector<std::tuple<size_t, std::string, std::string>> others;
  for (const auto& [net, key] : containers_[identity_of(endpoint)]) {
    const auto& other = *models_[net].endpoints[key];
    if (net != network) others.emplace_back(other.ifname.size(), other.ifname, net);
  }
  std::sort(others.begin(), others.end());
  std::vector<uint32_t> slots{models_[network].slot};
  for (const auto& [size, ifname, net] : others) {
    uint32_t slot = models_[net].slot;
    if (std::find(slots.begin(), slots.end(), slot) == slots.end()) slots.push_back(slot);
  }
  return slots;
}

void ZoneBuilder::update_addresses(Model& m, const std::string& network) {
  std::vector<Table<AddressNode>::Change> changes;
  for (const auto& address : m.touched_addresses) {
    std::string key(reinterpret_cast<const char*>(address.bytes()), address.size());
    Table<AddressNode>::Change change{hash_bytes(key), key, nullptr};
    auto it = m.addresses.find(address);
    if (it != m.addresses.end() && it->second.empty())
      m.addresses.erase(it);
    else if (it != m.addresses.end()) {
      auto node = std::make_shared<AddressNode>();
      node->hash = change.hash;
      node->key = std::move(key);
      size_t containers = 0;
      for (const auto& claim : it->second) {
        node->names.insert(node->names.end(), claim.names.begin(), claim.names.end());
        if (!claim.endpoint || containers++) continue;
        node->networks = networks_of(network, *claim.endpoint);
      }
      // Two documents with one address: nobody can say who is asking, so only what both may see.
      if (containers > 1) node->networks.resize(1);
      change.record = std::move(node);
    }
    changes.push_back(std::move(change));
  }
  m.touched_addresses.clear();
  if (!changes.empty()) m.address_table = m.address_table.with(std::move(changes));
}

std::shared_ptr<const Zone> ZoneBuilder::make_zone(const std::string& name, Model& m) {
  if (!m.record) return nullptr;
  auto zone = std::make_shared<Zone>();
  zone->slot = m.slot;
  zone->name = name;
  zone->suffix = m.suffix;
  zone->suffix_labels = static_cast<unsigned>(m.suffix.empty() ? 0 : 1 + std::count(name.begin(), name.end(), '.'));
  zone->internal = m.record->internal;
  zone->forward_single_labels = m.record->forward_single_labels;
  zone->gateway4 = m.record->gateway(AF_INET).value_or(Address());
  zone->gateway6 = m.record->gateway(AF_INET6).value_or(Address());
  zone->names = m.names.table();
  zone->addresses = m.address_table;
  return zone;
}

std::shared_ptr<const Snapshot> ZoneBuilder::publish() {
  for (auto& [name, m] : models_) {
    if (!m.dirty) continue;
    m.dirty = false;
    for (const auto& service : m.touched_services) update_service(m, service);
    m.touched_services.clear();
    update_addresses(m, name);
    zones_[m.slot] = make_zone(name, m);
  }
  if (subnets_dirty_) {
    std::vector<Prefix> subnets;
    for (const auto& [name, m] : models_)
      if (m.record) subnets.insert(subnets.end(), m.record->subnets.begin(), m.record->subnets.end());
    subnets_ = std::make_shared<SubnetIndex>(subnets);
    subnets_dirty_ = false;
  }
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->version = ++version_;
  snapshot->zones = zones_;
  snapshot->subnets = subnets_;
  snapshot->soa = encode_soa(static_cast<uint32_t>(time(nullptr)));
  return snapshot;
}

}  // namespace fairlead::dns
