#include "cluster/document_check.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/names.h"
#include "cluster/channel.h"
#include "cluster/key_documents.h"
#include "state/block_record.h"
#include "state/node_record.h"
#include "state/paths.h"
#include "state/records.h"

namespace fairlead::cluster {
namespace {

Result<void> agree(bool same, std::string_view key) {
  if (!same) return fail(std::string(key) + ": the names in the document are not those of its key");
  return {};
}

Result<void> check_attachment(const std::vector<std::string>& parts, const Json& json, const std::string& source) {
  FL_TRY(Endpoint endpoint, decode_endpoint(json, source));
  return agree(endpoint.network == parts[1] && endpoint.node == parts[2] && endpoint.key() == parts[3], source);
}

Result<void> check_key_document(const std::vector<std::string>& parts, const std::string& value,
                                const std::string& source) {
  if (source == "keys/epochs") FL_CHECK(decode_epoch_list(value, source));
  if (parts[0] == "keys" && parts.size() == 3) {
    FL_TRY(SealedCopy copy, decode_sealed_copy(value, source));
    return agree(copy.epoch == parts[2] && is_object_name(parts[1]), source);
  }
  if (parts[0] == "associations" && parts.size() == 3) {
    FL_TRY(AssociationDocument document, decode_association(value, source));
    return agree(document.node == parts[1] && document.peer == parts[2] && parts[1] != parts[2], source);
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> split_key(std::string_view key) {
  std::vector<std::string> parts;
  for (;;) {
    auto part = key.substr(0, key.find('/'));
    bool good = !part.empty() && part.size() <= 250 && part[0] != '.';
    for (unsigned char c : part) good = good && c > ' ' && c != 0x7f;
    if (!good) return fail("\"" + std::string(key.substr(0, 64)) + "\" is no part of a document's name");
    parts.emplace_back(part);
    if (part.size() == key.size()) return parts;
    key.remove_prefix(part.size() + 1);
  }
}

Result<void> check_document(std::string_view key, const std::string& value) {
  const std::string source(key);
  FL_TRY(auto parts, split_key(key));
  FL_TRY(Json json, parse_json(value, source));
  if (!json.is_object()) return fail(source + ": it is no object");
  if (parts[0] == "networks" && parts.size() == 2) {
    FL_TRY(Network network, decode_network(json, source));
    FL_CHECK(check_block_lengths(network));
    return agree(network.name == parts[1], key);
  }
  if (parts[0] == "services" && parts.size() == 3) {
    FL_TRY(Service service, decode_service(json, source));
    return agree(service.network == parts[1] && service.name == parts[2], key);
  }
  if (parts[0] == "nodes" && parts.size() == 2) {
    FL_TRY(Node node, decode_node(json, source));
    return agree(node.name == parts[1], key);
  }
  if (parts[0] == "blocks" && parts.size() == 3) {
    FL_TRY(NodeBlocks blocks, decode_node_blocks(json, source));
    return agree(blocks.network == parts[1] && blocks.node == parts[2], key);
  }
  if (parts[0] == "health" && parts.size() == 4) {
    FL_TRY(ServiceHealth health, decode_health(json, source));
    return agree(health.network == parts[1] && health.service == parts[3] && is_object_name(parts[2]), key);
  }
  if (parts[0] == "endpoints" && parts.size() == 4) return check_attachment(parts, json, source);
  return check_key_document(parts, value, source);
}

Result<std::string> with_mark(const std::string& document, const std::string& cluster) {
  FL_TRY(Json json, parse_json(document, "document"));
  if (!json.is_object()) return fail("document: it is no object");
  json.erase("cluster");
  if (!cluster.empty()) json["cluster"] = cluster;
  return dump_json(json) + "\n";
}

std::string mark_of(const std::string& document) {
  auto json = parse_json(document, "document");
  return json && json->is_object() ? text_at(*json, "cluster") : "";
}

}  // namespace fairlead::cluster
