#include "cluster/scope.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/names.h"
#include "cluster/roles.h"
#include "state/records.h"

namespace fairlead::cluster {
namespace {

constexpr const char* kField = "networks";

// The network of endpoints/NETWORK/NODE/… and health/NETWORK/NODE/…; empty for other keys.
std::string_view network_of(std::string_view key) {
  if (!key.starts_with("endpoints/") && !key.starts_with("health/")) return {};
  key.remove_prefix(key.find('/') + 1);
  return key.substr(0, key.find('/'));
}

// mine: "/NODE/".
bool is_endpoint_of(std::string_view key, std::string_view mine) {
  constexpr std::string_view kPrefix = "endpoints/";
  return key.starts_with(kPrefix) && key.substr(kPrefix.size() + network_of(key).size()).starts_with(mine);
}

bool publishes(const std::string& key, const std::string& value) {
  if (value.find("\"published\"") == value.npos) return false;
  auto json = parse_json(value, key);
  auto service = json ? decode_service(*json, key) : fail(json.error());
  return service && std::any_of(service->ports.begin(), service->ports.end(), [](const ServicePort& port) {
           return port.published != 0 && port.publish_mode == "ingress";
         });
}

}  // namespace

Scope scope_of(const Feed& feed, const Identity& who) {
  if (!takes_part(who.role)) return std::nullopt;
  std::set<std::string> networks;
  const std::string mine = "/" + who.name + "/";
  const auto snapshot = feed.snapshot([&](const std::string& key) {
    if (key.starts_with("services/")) return true;
    return is_endpoint_of(key, mine);
  });
  for (const auto& [key, value] : snapshot.documents) {
    const auto first = key.find('/') + 1;
    const std::string network = key.substr(first, key.find('/', first) - first);
    if (!networks.count(network) && (key.starts_with("endpoints/") || publishes(key, value))) networks.insert(network);
  }
  return networks;
}

bool changes_scope(const Scope& scope, const EtcdEvent& event, const std::string& node) {
  if (!scope) return false;
  if (event.key.starts_with("services/")) return true;
  return is_endpoint_of(event.key, "/" + node + "/") && (!event.value || !in_scope(scope, event.key));
}

bool in_scope(const Scope& scope, const std::string& key) {
  const auto network = network_of(key);
  return !scope || network.empty() || scope->count(std::string(network)) > 0;
}

Scope scope_at(const Json& message) {
  auto found = message.find(kField);
  if (found == message.end() || !found->is_array()) return std::nullopt;
  std::set<std::string> networks;
  for (const auto& item : *found)
    if (item.is_string() && is_object_name(item.get<std::string>())) networks.insert(item.get<std::string>());
  return networks;
}

void put_scope(Json& message, const Scope& scope) {
  if (scope) message[kField] = *scope;
}

}  // namespace fairlead::cluster
