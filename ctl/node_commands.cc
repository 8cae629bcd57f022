#include "ctl/node_commands.h"

#include <map>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cluster/channel.h"
#include "cluster/control.h"
#include "ctl/documents.h"
#include "ctl/table.h"
#include "state/node_name.h"
#include "state/node_record.h"
#include "state/store.h"

namespace fairlead::ctl {
namespace {

struct Known {
  std::optional<Node> node;  // nullopt: this node, in no cluster
  std::string role, live = "-";
  size_t endpoints = 0;
};

Result<std::map<std::string, Known>> known_nodes(Context& context) {
  std::map<std::string, Known> known;
  FL_TRY(auto names, list_documents(context.paths.nodes()));
  for (const auto& name : names) {
    const std::string path = context.paths.nodes() + "/" + name + ".json";
    FL_TRY(auto text, read_file(path));
    if (!text) continue;  // removed since the folder was listed
    auto json = parse_json(*text, path);
    auto node = json ? decode_node(*json, path) : fail(json.error());
    if (!node) {
      context.warnings.push_back(node.error().message);
      continue;
    }
    known[name].role = cluster::text_at(*json, "role");
    known[name].node = std::move(*node);
  }
  return known;
}

// What the managers say about who is live.
void ask_who_is_live(const Context& context, std::map<std::string, Known>& known) {
  auto status = cluster::ask_agent(context.paths, {{"op", "status"}});
  if (!status) return;
  for (const auto& member : status->value("members", Json::array())) {
    auto it = known.find(cluster::text_at(member, "name"));
    if (it != known.end()) it->second.live = cluster::flag_at(member, "live") ? "yes" : "no";
  }
}

}  // namespace

Output node_list(Context& context) {
  FL_TRY(auto known, known_nodes(context));
  FL_TRY(std::string self, node_name(context.paths));
  if (known.empty())
    known[self].live = "yes";
  else
    ask_who_is_live(context, known);
  FL_TRY(auto endpoints, read_all_endpoints(context));
  for (const auto& endpoint : endpoints)
    if (auto it = known.find(endpoint.node); it != known.end()) it->second.endpoints++;
  Json array = Json::array();
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, k] : known) {
    const std::string number = k.node ? std::to_string(k.node->number) : "-",
                      address = k.node ? k.node->address.to_string() : "-";
    rows.push_back({name + (name == self ? " *" : ""), number, address, k.role.empty() ? "-" : k.role, k.live,
                    std::to_string(k.endpoints)});
    Json one{{"name", name}, {"self", name == self}, {"role", k.role}, {"endpoints", k.endpoints}};
    if (k.node) one.update({{"number", k.node->number}, {"address", address}});
    if (k.live != "-") one["live"] = k.live == "yes";
    array.push_back(std::move(one));
  }
  return context.json ? Output(json_text(array))
                      : Output(table({"NODE", "NUMBER", "ADDRESS", "ROLE", "LIVE", "ENDPOINTS"}, rows));
}

}  // namespace fairlead::ctl
