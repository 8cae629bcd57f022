#include "ctl/documents.h"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include "base/names.h"
#include "ctl/table.h"
#include "state/node_name.h"
#include "state/store.h"

namespace fairlead::ctl {
namespace {

template <class Record>
Result<std::optional<Record>> read_document(const std::string& path,
                                            Result<Record> (*decode)(const Json&, const std::string&)) {
  FL_TRY(auto text, read_file(path));
  if (!text) return std::nullopt;  // removed since the folder was listed
  FL_TRY(Json json, parse_json(*text, path));
  FL_TRY(Record record, decode(json, path));
  return std::optional<Record>(std::move(record));
}

// The documents of one network's folder, added to records.
template <class Record, class Identity>
Result<void> read_folder(Context& context, const std::string& folder, const std::string& network,
                         Result<Record> (*decode)(const Json&, const std::string&), Identity identity,
                         std::vector<Record>& records) {
  FL_TRY(auto names, list_documents(folder));
  for (const auto& name : names) {
    std::string path = folder + "/" + name + ".json";
    auto record = read_document(path, decode);
    if (record && *record && ((*record)->network != network || identity(**record) != name))
      record = fail(path + ": the names inside do not match the path; rename the file or correct the names");
    if (!record) context.warnings.push_back(record.error().message);
    if (record && *record) records.push_back(std::move(**record));
  }
  return {};
}

// The folders of top/, or only this one, that are named like objects.
Result<std::vector<std::string>> named_folders(Context& context, const std::string& top, const std::string& only) {
  if (!only.empty()) return std::vector<std::string>{only};
  FL_TRY(auto names, list_folders(top));
  std::erase_if(names, [&](const std::string& name) {
    if (is_object_name(name)) return false;
    context.warnings.push_back(top + "/" + name + ": not the name of a network; the folder is ignored");
    return true;
  });
  return names;
}

// All documents of top/NETWORK/*.json for the given network, or for every folder there is.
template <class Record, class Identity>
Result<std::vector<Record>> read_folders(Context& context, const std::string& top, const std::string& only,
                                         Result<Record> (*decode)(const Json&, const std::string&), Identity identity) {
  FL_TRY(auto networks, named_folders(context, top, only));
  std::vector<Record> records;
  for (const auto& network : networks)
    FL_CHECK(read_folder(context, top + "/" + network, network, decode, identity, records));
  return records;
}

std::string key_of(const Endpoint& endpoint) { return endpoint.key(); }
std::string service_of(const ServiceHealth& health) { return health.service; }

// (network, node, folder) of what other nodes say: run/remote/KIND/NETWORK/NODE/.
Result<std::vector<std::array<std::string, 3>>> remote_folders(Context& context, const std::string& kind,
                                                               const std::string& only) {
  const std::string top = context.paths.run + "/remote/" + kind;
  std::vector<std::array<std::string, 3>> folders;
  FL_TRY(auto networks, named_folders(context, top, only));
  for (const auto& network : networks) {
    FL_TRY(auto nodes, list_folders(top + "/" + network));
    for (const auto& node : nodes) folders.push_back({network, node, top + "/" + network + "/" + node});
  }
  return folders;
}

}  // namespace

Result<std::vector<Network>> read_networks(Context& context) {
  FL_TRY(auto names, list_documents(context.paths.networks()));
  std::vector<Network> networks;
  for (const auto& name : names) {
    auto network = is_object_name(name) ? load_network(context.paths, name)
                                        : fail(context.paths.network(name) + ": the file is not named like a network");
    if (!network) context.warnings.push_back(network.error().message);
    if (network && *network) networks.push_back(std::move(**network));
  }
  return networks;
}

Result<std::vector<Service>> read_services(Context& context, const std::string& network) {
  return read_folders(context, context.paths.services(), network, decode_service,
                      [](const Service& s) { return s.name; });
}

Result<std::vector<Endpoint>> read_endpoints(Context& context, const std::string& network) {
  return read_folders(context, context.paths.endpoints(), network, decode_endpoint, key_of);
}

Result<std::vector<Endpoint>> read_all_endpoints(Context& context, const std::string& network) {
  FL_TRY(auto endpoints, read_endpoints(context, network));
  FL_TRY(auto self, node_name(context.paths));
  for (auto& endpoint : endpoints) endpoint.node = self;
  FL_TRY(auto folders, remote_folders(context, "endpoints", network));
  for (const auto& [name, node, folder] : folders)
    FL_CHECK(read_folder(context, folder, name, decode_endpoint, key_of, endpoints));
  std::stable_sort(endpoints.begin(), endpoints.end(),
                   [](const Endpoint& a, const Endpoint& b) { return a.network < b.network; });
  return endpoints;
}

std::set<std::string> read_unhealthy(Context& context, const Service& service) {
  std::vector<ServiceHealth> said;
  auto own = read_document(context.paths.health(service.network, service.name), decode_health);
  if (!own) context.warnings.push_back(own.error().message);
  if (own && *own) said.push_back(std::move(**own));
  if (auto folders = remote_folders(context, "health", service.network))
    for (const auto& [network, node, folder] : *folders)
      (void)read_folder(context, folder, network, decode_health, service_of, said);
  std::set<std::string> unhealthy;
  for (const auto& health : said)
    if (health.service == service.name) unhealthy.insert(health.unhealthy.begin(), health.unhealthy.end());
  return unhealthy;
}

Result<Network> need_network(Context& context, const std::string& name) {
  FL_TRY(auto network, load_network(context.paths, name));
  if (network) return *network;
  FL_TRY(auto names, list_documents(context.paths.networks()));
  return fail("network " + name + " does not exist; " +
              (names.empty() ? "make it with: fairleadctl network create " + name : "there are: " + join(names, ", ")));
}

Result<Json> document_of(const std::string& encoded) { return parse_json(encoded, "document"); }

std::string json_text(const Json& json) { return dump_json(json, 2) + "\n"; }

Output json_array(const std::vector<std::string>& encoded) {
  Json array = Json::array();
  for (const auto& text : encoded) {
    FL_TRY(Json json, document_of(text));
    array.push_back(std::move(json));
  }
  return json_text(array);
}

}  // namespace fairlead::ctl
