#include "state/store.h"

#include <dirent.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include <nlohmann/json.hpp>

#include "base/names.h"
#include "state/address_plan.h"
#include "state/vxlan_port.h"

namespace fairlead {
namespace {

template <class Record>
Result<std::optional<Record>> load(const std::string& path, Result<Record> (*decode)(const Json&, const std::string&)) {
  FL_TRY(auto text, read_file(path));
  if (!text) return std::nullopt;
  FL_TRY(Json json, parse_json(*text, path));
  FL_TRY(Record record, decode(json, path));
  return std::optional<Record>(std::move(record));
}

Result<std::vector<std::string>> list(const std::string& folder, bool documents) {
  std::vector<std::string> names;
  DIR* dir = ::opendir(folder.c_str());
  if (!dir) {
    if (errno == ENOENT) return names;
    return fail_errno("open folder", folder);
  }
  while (dirent* entry = ::readdir(dir)) {
    std::string name = entry->d_name;
    if (name[0] == '.') continue;  // temporary files, locks, "." and ".."
    if (entry->d_type != (documents ? DT_REG : DT_DIR) && entry->d_type != DT_UNKNOWN) continue;
    if (documents) {
      if (!name.ends_with(".json")) continue;
      name.resize(name.size() - 5);
    }
    names.push_back(std::move(name));
  }
  ::closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

// The name's own number when nobody has it, else the next free one: the same network gets the same number on
// machines that never spoke to each other, most of the time.
Result<uint32_t> free_vni(const Paths& paths, const std::string& name) {
  std::set<uint32_t> used;
  FL_TRY(auto names, list_documents(paths.networks()));
  for (const auto& other : names) {
    auto network = load_network(paths, other);
    if (network && *network) used.insert((*network)->vni);
  }
  uint32_t hash = 2166136261u;
  for (unsigned char c : name) hash = (hash ^ c) * 16777619u;
  // 4096 and up: small numbers are left to people who number by hand.
  const uint32_t lowest = 4096, count = kMaxVni - lowest + 1;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t vni = lowest + (hash % count + i) % count;
    if (!used.count(vni)) return vni;
  }
  return fail("network " + name + ": every VNI is taken");
}

Result<void> refuse_taken_vni(const Paths& paths, const Network& network) {
  FL_TRY(auto names, list_documents(paths.networks()));
  for (const auto& other : names) {
    auto record = load_network(paths, other);
    if (record && *record && (*record)->vni == network.vni && other != network.name)
      return fail("network " + network.name + ": VNI " + std::to_string(network.vni) + " belongs to network " + other);
  }
  return {};
}

Result<void> refuse_taken_port(const Paths& paths, const Network& network) {
  std::vector<Network> others;
  FL_TRY(auto names, list_documents(paths.networks()));
  for (const auto& other : names)
    if (auto record = load_network(paths, other); record && *record) others.push_back(**record);
  if (auto taken = port_taken(network, others); !taken.empty()) return fail(taken);
  return {};
}

Result<void> choose_subnets(const Paths& paths, Network& network, const SubnetChoice& choice) {
  std::vector<Prefix> taken = choice.taken;
  FL_TRY(auto names, list_documents(paths.networks()));
  for (const auto& other : names) {
    auto record = load_network(paths, other);
    if (record && *record) taken.insert(taken.end(), (*record)->subnets.begin(), (*record)->subnets.end());
  }
  auto plan = plan_subnets(network.vni, taken, choice.ipv6);
  if (!plan) return fail(plan.error().with("network " + network.name));
  network.subnets = std::move(*plan);
  return {};
}

}  // namespace

Result<std::optional<Network>> load_network(const Paths& paths, const std::string& name) {
  FL_CHECK(check_object_name("network name", name));
  FL_TRY(auto network, load<Network>(paths.network(name), decode_network));
  if (network && network->name != name)
    return fail(paths.network(name) + ": /name: is \"" + network->name + "\" but the file is named " + name);
  return network;
}

Result<std::optional<Service>> load_service(const Paths& paths, const std::string& network, const std::string& name) {
  FL_CHECK(check_object_name("network name", network));
  FL_CHECK(check_object_name("service name", name));
  return load<Service>(paths.service(network, name), decode_service);
}

Result<std::optional<Endpoint>> load_endpoint(const Paths& paths, const std::string& network,
                                              const std::string& container, const std::string& ifname) {
  FL_CHECK(check_object_name("network name", network));
  if (!is_cni_id(container) || !is_interface_name(ifname))
    return fail("not an attachment: " + container + " " + ifname);
  return load<Endpoint>(paths.endpoint(network, container, ifname), decode_endpoint);
}

Result<std::optional<Endpoint>> load_endpoint_file(const std::string& path) {
  return load<Endpoint>(path, decode_endpoint);
}

Result<std::optional<Router>> load_router(const Paths& paths, const std::string& network) {
  FL_CHECK(check_object_name("network name", network));
  return load<Router>(paths.router(network), decode_router);
}

Result<std::optional<PortReport>> load_port_report(const Paths& paths, const std::string& network,
                                                   const std::string& attachment) {
  FL_CHECK(check_object_name("network name", network));
  return load<PortReport>(paths.port_report(network, attachment), decode_port_report);
}

Result<void> save(const Paths& paths, const Service& service) {
  FL_CHECK(make_folders(paths.services(service.network)));
  return replace_file(paths.service(service.network, service.name), encode(service), Durability::kDurable);
}

Result<void> save(const Paths& paths, const Endpoint& endpoint) {
  std::string path = paths.endpoint(endpoint.network, endpoint.container, endpoint.ifname);
  std::string text = encode(endpoint);
  auto written = replace_file(path, text, Durability::kBoot);
  if (written || written.error().sys != ENOENT) return written;
  FL_CHECK(make_folders(paths.endpoints(endpoint.network)));  // the first endpoint of this network
  return replace_file(path, text, Durability::kBoot);
}

Result<void> save(const Paths& paths, const ServiceHealth& health) {
  FL_CHECK(make_folders(paths.health() + "/" + health.network));
  return replace_file(paths.health(health.network, health.service), encode(health), Durability::kBoot);
}

Result<void> save(const Paths& paths, const Router& router) {
  FL_CHECK(make_folders(paths.routers()));
  return replace_file(paths.router(router.network), encode(router), Durability::kBoot);
}

Result<void> save(const Paths& paths, const PortReport& report) {
  std::string path = paths.port_report(report.network, report.attachment);
  std::string text = encode(report);
  auto written = replace_file(path, text, Durability::kBoot);
  if (written || written.error().sys != ENOENT) return written;
  FL_CHECK(make_folders(paths.ports(report.network)));
  return replace_file(path, text, Durability::kBoot);
}

Result<bool> remove_endpoint(const Paths& paths, const std::string& network, const std::string& container,
                             const std::string& ifname) {
  return remove_file(paths.endpoint(network, container, ifname));
}

Result<Network> create_network(const Paths& paths, Network network, const std::optional<SubnetChoice>& choice,
                               bool* created) {
  if (created) *created = false;
  FL_CHECK(check_object_name("network name", network.name));
  FL_CHECK(make_folders(paths.networks()));
  FL_TRY(Fd lock, lock_file(paths.networks() + "/.lock", 10000));
  FL_TRY(auto existing, load_network(paths, network.name));
  if (existing) return *existing;
  FL_TRY(network, plan_network(paths, std::move(network), choice));
  FL_CHECK(replace_file(paths.network(network.name), encode(network), Durability::kDurable));
  if (created) *created = true;
  return network;
}

Result<Network> plan_network(const Paths& paths, Network network, const std::optional<SubnetChoice>& choice) {
  if (network.vni == 0) {
    FL_TRY(network.vni, free_vni(paths, network.name));
  } else {
    FL_CHECK(refuse_taken_vni(paths, network));
  }
  FL_CHECK(refuse_taken_port(paths, network));
  if (network.subnets.empty() && choice) FL_CHECK(choose_subnets(paths, network, *choice));
  FL_TRY(Json json, parse_json(encode(network), "network " + network.name));
  return decode_network(json, "network " + network.name);
}

Result<std::vector<std::string>> list_documents(const std::string& folder) { return list(folder, true); }
Result<std::vector<std::string>> list_folders(const std::string& folder) { return list(folder, false); }

}  // namespace fairlead
