#include "ctl/key_text.h"

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cluster/channel.h"
#include "cluster/node_keys.h"
#include "state/store.h"

namespace fairlead::ctl {

Json key_fingerprints(Context& context) {
  Json keys = Json::array();
  auto names = list_documents(context.paths.nodes());
  if (!names) return keys;
  for (const auto& name : *names) {
    const std::string path = context.paths.nodes() + "/" + name + ".json";
    auto text = read_file(path);
    auto json = text && *text ? parse_json(**text, path) : fail("");
    if (!json || !json->is_object()) continue;
    Json node{{"node", name}};
    for (const char* field : {"sealKey", "wireguardKey"})
      if (auto key = cluster::decode_public_key(cluster::text_at(*json, field), path))
        node[field] = cluster::key_fingerprint(*key);
    keys.push_back(std::move(node));
  }
  return keys;
}

std::string key_sentence(const Json& keys, const std::string& encryption) {
  std::string text;
  for (const auto& node : keys) {
    const std::string key = cluster::text_at(node, encryption == "ipsec" ? "sealKey" : "wireguardKey");
    text += (text.empty() ? "" : ", ") + cluster::text_at(node, "node") + " " + (key.empty() ? "none" : key);
  }
  return text;
}

}  // namespace fairlead::ctl
