#include "ctl/documents.h"

#include <nlohmann/json.hpp>

#include "base/names.h"
#include "ctl/table.h"
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

// All documents of folder/NETWORK/*.json for the given networks, or for every folder there is.
template <class Record, class Identity>
Result<std::vector<Record>> read_folders(Context& context, const std::string& top, const std::string& only,
                                         Result<Record> (*decode)(const Json&, const std::string&), Identity identity) {
  std::vector<std::string> networks{only};
  if (only.empty()) {
    FL_TRY(networks, list_folders(top));
  }
  std::vector<Record> records;
  for (const auto& network : networks) {
    if (!is_object_name(network)) {
      context.warnings.push_back(top + "/" + network + ": not the name of a network; the folder is ignored");
      continue;
    }
    FL_TRY(auto names, list_documents(top + "/" + network));
    for (const auto& name : names) {
      std::string path = top + "/" + network + "/" + name + ".json";
      auto record = read_document(path, decode);
      if (record && *record && ((*record)->network != network || identity(**record) != name))
        record = fail(path + ": the names inside do not match the path; rename the file or correct the names");
      if (!record) context.warnings.push_back(record.error().message);
      if (record && *record) records.push_back(std::move(**record));
    }
  }
  return records;
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
  return read_folders(context, context.paths.endpoints(), network, decode_endpoint,
                      [](const Endpoint& e) { return e.key(); });
}

std::set<std::string> read_unhealthy(Context& context, const Service& service) {
  auto health = read_document(context.paths.health(service.network, service.name), decode_health);
  if (!health) context.warnings.push_back(health.error().message);
  if (!health || !*health) return {};
  return {(*health)->unhealthy.begin(), (*health)->unhealthy.end()};
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
