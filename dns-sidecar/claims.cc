#include "dns-sidecar/claims.h"

#include <algorithm>

#include "base/names.h"
#include "dns-sidecar/wire.h"

namespace fairlead::dns {
namespace {

constexpr size_t kShortId = 12;

bool is_hex(std::string_view id) {
  return std::all_of(id.begin(), id.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// The digits SLOT in "SERVICE.SLOT", "SERVICE-SLOT" and "SERVICE.SLOT.TASKID" (Swarm's and Compose's task names).
std::string_view slot_in(std::string_view name, std::string_view service) {
  if (name.size() < service.size() + 2 || name.substr(0, service.size()) != service) return {};
  char separator = name[service.size()];
  if (separator != '.' && separator != '-') return {};
  name.remove_prefix(service.size() + 1);
  size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
  if (digits == 0 || digits > 9) return {};
  if (digits < name.size() && (separator == '-' || name[digits] != '.')) return {};
  return name.substr(0, digits);
}

std::vector<std::string> slot_names(const Endpoint& e) {
  std::vector<std::string> names;
  auto add = [&](const std::string& service, std::string_view slot) {
    std::string name = service + "." + std::string(slot);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
  };
  for (const auto& service : e.services) {
    for (const auto& [key, value] : e.labels)
      if (key == "fairlead.slot" && !value.empty() && value.size() <= 9 &&
          value.find_first_not_of("0123456789") == std::string::npos)
        add(service, value);
    for (const auto& name : e.names)
      if (auto slot = slot_in(name, service); !slot.empty()) add(service, slot);
  }
  return names;
}

std::vector<std::string> id_names(const Endpoint& e) {
  std::vector<std::string> names;
  if (e.container.size() > kShortId && is_hex(e.container)) names.push_back(e.container.substr(0, kShortId));
  if (e.container.size() <= 63) names.push_back(e.container);
  return names;
}

bool usable(const Address& a) {
  return !(a.is_loopback() || a.is_link_local() || a.is_multicast() || a.is_unspecified());
}

void append_usable(std::vector<Address>& out, const std::vector<Address>& addresses) {
  std::copy_if(addresses.begin(), addresses.end(), std::back_inserter(out), usable);
}

Claim make_claim(std::string name, Rank rank, const Addresses& addresses) {
  Claim claim;
  claim.name = std::move(name);
  claim.rank = rank;
  claim.addresses = addresses;
  return claim;
}

void add_claim(std::vector<Claim>& claims, const std::string& text, Rank rank, const Addresses& addresses) {
  auto name = wire_name(text);
  if (!name) return;
  for (const auto& other : claims)
    if (other.name == *name) return;
  claims.push_back(make_claim(std::move(*name), rank, addresses));
}

}  // namespace

std::vector<Claim> claims_of(const Endpoint& e) {
  auto addresses = std::make_shared<std::vector<Address>>();
  append_usable(*addresses, e.addresses);
  std::vector<Claim> claims;
  for (const auto& name : slot_names(e)) add_claim(claims, name, Rank::kSlot, addresses);
  for (const auto& name : e.names) add_claim(claims, name, Rank::kName, addresses);
  for (const auto& name : e.aliases) add_claim(claims, name, Rank::kName, addresses);
  for (const auto& name : id_names(e)) add_claim(claims, name, Rank::kId, addresses);
  return claims;
}

std::vector<Candidate> candidates_of(const Endpoint& e) {
  std::vector<Candidate> candidates;
  auto add = [&](const std::vector<std::string>& names, Rank rank) {
    for (const auto& text : names)
      if (auto name = wire_name(text)) candidates.push_back({std::move(*name), rank});
  };
  auto slots = slot_names(e);
  // A name that reads as a slot is claimed as one.
  for (const auto& text : e.names) {
    bool slot = std::find(slots.begin(), slots.end(), text) != slots.end();
    add({text}, slot ? Rank::kSlot : Rank::kName);
  }
  add(slots, Rank::kSlot);
  add(id_names(e), Rank::kId);
  return candidates;
}

namespace {

// "_80._tcp" and, for a port with a name, "_http._tcp".
std::string port_labels(const std::string& which, const ServicePort& port) {
  std::string first = "_" + which, second = "_" + port.protocol, wire;
  for (const auto& label : {first, second}) wire.append(1, static_cast<char>(label.size())).append(label);
  return wire;
}

// The VIP's port for a VIP; one record per task, with the container's port, without (RFC 2782).
std::vector<SrvRecord> srv_records(const ServicePort& port, const std::string& service_wire, const Addresses& vips,
                                   const std::vector<Task>& tasks, const std::string& suffix) {
  std::vector<SrvRecord> records;
  if (!vips->empty()) {
    std::string target = full_name(service_wire, suffix);
    if (!target.empty()) records.push_back(make_srv(0, static_cast<uint16_t>(port.port), target, *vips));
    return records;
  }
  for (const auto& task : tasks) {
    if (!task.healthy || task.endpoint->state != "ready") continue;
    auto candidates = candidates_of(*task.endpoint);
    std::string target = candidates.empty() ? "" : full_name(candidates.front().name, suffix);
    std::vector<Address> addresses;
    append_usable(addresses, task.endpoint->addresses);
    if (target.empty() || addresses.empty()) continue;
    auto weight = static_cast<uint16_t>(task.endpoint->weight());
    records.push_back(make_srv(weight, static_cast<uint16_t>(port.target), target, addresses));
  }
  return records;
}

}  // namespace

std::vector<Claim> claims_of(const std::string& service, const Service* record, const std::vector<Task>& tasks,
                             const std::string& suffix) {
  std::vector<Claim> claims;
  auto wire = wire_name(service);
  if (!wire) return claims;
  auto ready = std::make_shared<std::vector<Address>>(), all = std::make_shared<std::vector<Address>>(),
       vips = std::make_shared<std::vector<Address>>();
  for (const auto& task : tasks) {
    if (task.endpoint->state == "stopping") continue;
    append_usable(*all, task.endpoint->addresses);
    if (task.healthy && task.endpoint->state == "ready") append_usable(*ready, task.endpoint->addresses);
  }
  if (record) append_usable(*vips, record->vips);
  claims.push_back(make_claim(*wire, Rank::kService, vips->empty() ? ready : vips));
  add_claim(claims, "tasks." + service, Rank::kGenerated, ready);
  add_claim(claims, "all." + service, Rank::kGenerated, all);
  for (const auto& port : record ? record->ports : std::vector<ServicePort>()) {
    if (suffix.empty()) break;
    auto records = srv_records(port, *wire, vips, tasks, suffix);
    for (const auto& which : {std::to_string(port.port), port.name}) {
      if (which.empty()) continue;
      Claim claim = make_claim(port_labels(which, port) + *wire, Rank::kGenerated, nullptr);
      if (claim.name.size() >= kMaxNameBytes) continue;
      claim.srv = records;
      claims.push_back(std::move(claim));
    }
  }
  return claims;
}

}  // namespace fairlead::dns
