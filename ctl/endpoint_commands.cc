#include "ctl/endpoint_commands.h"

#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

#include "base/names.h"
#include "ctl/documents.h"
#include "ctl/table.h"
#include "state/store.h"

namespace fairlead::ctl {
namespace {

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool is_called(const Endpoint& e, const std::string& what) {
  auto is_address = [&](const Address& a) { return a.to_string() == what; };
  return e.container == what || e.key() == what || contains(e.names, what) ||
         std::any_of(e.addresses.begin(), e.addresses.end(), is_address);
}

// Those that are called so, else those whose container id begins so.
std::vector<Endpoint> select(const std::vector<Endpoint>& endpoints, const std::string& what) {
  std::vector<Endpoint> called, beginning;
  for (const auto& e : endpoints) {
    if (is_called(e, what)) called.push_back(e);
    if (!what.empty() && e.container.starts_with(what)) beginning.push_back(e);
  }
  return called.empty() ? beginning : called;
}

std::string mappings_text(const Endpoint& e) {
  std::vector<std::string> out;
  for (const auto& m : e.port_mappings) {
    std::string text = m.host_ip.empty() ? "" : "[" + m.host_ip + "]:";
    out.push_back(text + std::to_string(m.host_port) + ":" + std::to_string(m.container_port) + "/" + m.protocol);
  }
  return join(out);
}

std::string labels_text(const Endpoint& e) {
  std::vector<std::string> out;
  for (const auto& [key, value] : e.labels) out.push_back(key + "=" + value);
  return join(out);
}

std::string describe(const Endpoint& e) {
  return list({{"network", e.network},
               {"container", e.container},
               {"interface", e.ifname},
               {"namespace", e.netns},
               {"node", e.node},
               {"addresses", join(texts(e.addresses))},
               {"MAC", e.mac.to_string()},
               {"MTU", e.mtu ? std::to_string(e.mtu) : ""},
               {"router interface", e.host_ifname},
               {"names", join(e.names)},
               {"aliases", join(e.aliases)},
               {"services", join(e.services)},
               {"ports", mappings_text(e)},
               {"labels", labels_text(e)},
               {"IPAM", e.ipam},
               {"state", e.state}});
}

}  // namespace

Output endpoint_list(Context& context, const std::string& network, const std::string& service) {
  if (!network.empty()) FL_CHECK(need_network(context, network));
  FL_TRY(auto endpoints, read_all_endpoints(context, network));
  if (!service.empty()) std::erase_if(endpoints, [&](const Endpoint& e) { return !contains(e.services, service); });
  if (context.json) return json_array(endpoints);
  FL_TRY(auto nodes, list_documents(context.paths.nodes()));
  std::vector<std::string> header{"NETWORK", "NAMES", "CONTAINER", "INTERFACE", "ADDRESSES", "SERVICES", "STATE"};
  if (!nodes.empty()) header.insert(header.begin() + 1, "NODE");
  std::vector<std::vector<std::string>> rows;
  for (const auto& e : endpoints) {
    rows.push_back({e.network, join(e.names, ","), std::string(short_id(e.container)), e.ifname,
                    join(texts(e.addresses)), join(e.services, ","), e.state});
    if (!nodes.empty()) rows.back().insert(rows.back().begin() + 1, e.node);
  }
  return table(header, rows);
}

Output endpoint_inspect(Context& context, const std::string& what, const std::string& network) {
  if (!network.empty()) FL_CHECK(need_network(context, network));
  FL_TRY(auto endpoints, read_all_endpoints(context, network));
  endpoints = select(endpoints, what);
  std::set<std::string> containers;
  for (const auto& e : endpoints) containers.insert(e.container);
  if (containers.empty()) return fail("endpoint " + what + " does not exist; list them with: fairleadctl endpoint ls");
  if (containers.size() > 1)
    return fail("endpoint " + what + " is ambiguous; it may be one of the containers " +
                join({containers.begin(), containers.end()}, ", "));
  if (context.json) return json_array(endpoints);
  std::string text;
  for (const auto& e : endpoints) text += (text.empty() ? "" : "\n") + describe(e);
  return text;
}

}  // namespace fairlead::ctl
