#include "ctl/network_commands.h"

#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/names.h"
#include "cluster/membership.h"
#include "ctl/change.h"
#include "ctl/documents.h"
#include "ctl/ipsec_text.h"
#include "ctl/key_text.h"
#include "ctl/pools.h"
#include "ctl/reservation_commands.h"
#include "ctl/table.h"
#include "overlay/host_prefixes.h"
#include "state/block_record.h"
#include "state/store.h"
#include "state/vxlan_port.h"

namespace fairlead::ctl {
namespace {

constexpr int kLockMs = 10000;

Result<void> refuse_overlap(const NetworkOptions& options, const std::vector<overlay::HostPrefix>& taken) {
  for (const auto& subnet : options.subnets) {
    const auto* other = overlay::find_overlap(taken, subnet);
    if (!other) continue;
    return fail("network " + options.name + ": subnet " + subnet.to_string() +
                " overlaps what this node reaches by its " + other->what +
                "; choose another subnet, or none to have a free one chosen");
  }
  return {};
}

// A few names and how many more there are.
std::string some(const std::vector<std::string>& names) {
  constexpr size_t kShown = 5;
  if (names.size() <= kShown) return join(names, ", ");
  return join({names.begin(), names.begin() + kShown}, ", ") + " and " + std::to_string(names.size() - kShown) +
         " more";
}

std::string mtu_text(const Network& network) { return network.mtu ? std::to_string(network.mtu) : "auto"; }

std::string describe(Context& context, const Network& network, size_t services, size_t endpoints) {
  std::vector<std::string> gateways, pools, used;
  for (const auto& pool : read_pools(context, network)) used.push_back(sentence(pool));
  for (int family : {AF_INET, AF_INET6}) {
    if (auto gateway = network.gateway(family)) gateways.push_back(gateway->to_string());
    if (auto pool = network.vip_pool(family)) pools.push_back(pool->to_string());
  }
  std::string encryption = network.encryption;
  if (encryption == "ipsec")
    if (auto peers = ipsec_sentence(ipsec_of_agent(context)); !peers.empty()) encryption += " (" + peers + ")";
  std::vector<std::pair<std::string, std::string>> fields{{"name", network.name},
                                                          {"VNI", std::to_string(network.vni)},
                                                          {"subnets", join(texts(network.subnets))},
                                                          {"gateways", join(gateways)},
                                                          {"VIP pools", join(pools)},
                                                          {"used", join(used, "; ")},
                                                          {"blocks", join(block_texts(context, network), "; ")},
                                                          {"encryption", encryption}};
  if (network.encryption != "none")
    fields.emplace_back("nodes' keys", key_sentence(key_fingerprints(context), network.encryption));
  fields.insert(fields.end(), {{"internal", network.internal ? "yes" : "no"},
                               {"MTU", mtu_text(network)},
                               {"port between nodes", std::to_string(vxlan_port(network))},
                               {"DNS servers", join(network.dns_servers)},
                               {"services", std::to_string(services)},
                               {"endpoints", std::to_string(endpoints)}});
  return list(fields);
}

std::vector<std::string> names_of(const std::vector<Service>& services) {
  std::vector<std::string> names;
  for (const auto& service : services) names.push_back(service.name);
  return names;
}

std::vector<std::string> names_of(const std::vector<Endpoint>& endpoints) {
  std::vector<std::string> names;
  for (const auto& endpoint : endpoints)
    names.push_back(endpoint.names.empty() ? std::string(short_id(endpoint.container)) : endpoint.names.front());
  return names;
}

Result<Network> write_new(Context& context, const Network& network, const SubnetChoice& choice) {
  FL_TRY(auto member, cluster::load_membership(context.paths));
  const std::string taken = "network " + network.name + " was created by somebody else just now";
  if (!member) {
    bool created = false;
    FL_TRY(Network made, create_network(context.paths, network, choice, &created));
    if (!created) return fail(taken);
    return made;
  }
  Network made;
  FL_CHECK(change_documents(context, "", [&](Change& change) -> Output {
    FL_TRY(auto existing, load_network(context.paths, network.name));
    if (existing) return fail(taken);
    FL_TRY(made, plan_network(context.paths, network, choice));
    FL_CHECK(change.write("networks/" + made.name, context.paths.network(made.name), encode(made)));
    return "";
  }));
  return made;
}

// What is of no use to a later network of that name. In a cluster blocks come and go with the managers' documents.
void remove_address_documents(const Paths& paths, const std::string& name, bool in_cluster) {
  std::error_code ignored;
  std::filesystem::remove_all(paths.sticky(name), ignored);
  std::filesystem::remove_all(paths.reserved(name), ignored);
  if (!in_cluster) std::filesystem::remove_all(paths.blocks(name), ignored);
}

}  // namespace

Output network_create(Context& context, const NetworkOptions& options) {
  FL_TRY(auto existing, load_network(context.paths, options.name));
  if (existing)
    return fail("network " + options.name + " exists already; look at it with: fairleadctl network inspect " +
                options.name);
  FL_TRY(auto taken, overlay::host_prefixes());
  FL_CHECK(refuse_overlap(options, taken));

  Network network;
  network.name = options.name;
  network.subnets = options.subnets;
  network.encryption = options.encryption;
  network.internal = options.internal;
  network.mtu = options.mtu;
  network.vxlan_port = options.port;
  FL_CHECK(set_block_lengths(network, options.block_length4, options.block_length6));
  SubnetChoice choice;
  for (const auto& t : taken) choice.taken.push_back(t.prefix);
  FL_TRY(auto ipv6, read_sysctl("net/ipv6/conf/all/disable_ipv6"));
  choice.ipv6 = ipv6.has_value();  // a kernel without IPv6; switched off on the host alone does not concern routers
  FL_TRY(network, write_new(context, network, choice));
  if (context.json) {
    FL_TRY(Json json, document_of(encode(network)));
    return json_text(json);
  }
  return "network " + network.name + " has " + join(texts(network.subnets), " and ") + "\n";
}

Output network_list(Context& context) {
  FL_TRY(auto networks, read_networks(context));
  if (context.json) return json_array(networks);
  FL_TRY(auto services, read_services(context));
  FL_TRY(auto endpoints, read_endpoints(context));
  std::map<std::string, int> service_count, endpoint_count;
  for (const auto& s : services) service_count[s.network]++;
  for (const auto& e : endpoints) endpoint_count[e.network]++;
  std::vector<std::vector<std::string>> rows;
  for (const auto& n : networks) {
    auto pools = read_pools(context, n);
    std::vector<std::string> used;
    for (const auto& pool : pools) used.push_back(fraction(pool));
    for (auto& warning : capacity_warnings(n.name, pools)) context.warnings.push_back(std::move(warning));
    rows.push_back({n.name, std::to_string(n.vni), join(texts(n.subnets)), join(used), n.encryption,
                    n.internal ? "yes" : "no", mtu_text(n), std::to_string(service_count[n.name]),
                    std::to_string(endpoint_count[n.name])});
  }
  return table({"NAME", "VNI", "SUBNETS", "USED", "ENCRYPTION", "INTERNAL", "MTU", "SERVICES", "ENDPOINTS"}, rows);
}

Output network_inspect(Context& context, const std::string& name) {
  FL_TRY(auto network, need_network(context, name));
  FL_TRY(auto services, read_services(context, name));
  FL_TRY(auto endpoints, read_endpoints(context, name));
  if (!context.json) return describe(context, network, services.size(), endpoints.size());
  FL_TRY(Json json, document_of(encode(network)));
  json["gateways"] = Json::array();
  json["vipPools"] = Json::array();
  for (int family : {AF_INET, AF_INET6}) {
    if (auto gateway = network.gateway(family)) json["gateways"].push_back(gateway->to_string());
    if (auto pool = network.vip_pool(family)) json["vipPools"].push_back(pool->to_string());
  }
  json["pools"] = Json::array();
  for (const auto& pool : read_pools(context, network)) json["pools"].push_back(json_of(pool));
  json["blocks"] = block_json(context, name);
  if (network.encryption == "ipsec") json["peers"] = ipsec_of_agent(context);
  if (network.encryption != "none") json["keys"] = key_fingerprints(context);
  json["blockUse"] = block_use_json(context, network);
  json["services"] = names_of(services);
  json["endpoints"] = names_of(endpoints);
  return json_text(json);
}

Output network_remove(Context& context, const std::string& name) {
  FL_CHECK(need_network(context, name));
  return change_documents(context, context.paths.services() + "/.lock", [&](Change& change) -> Output {
    // Both locks, in the order service_create takes them: no service can be made while we look.
    Fd networks_lock;
    if (!change.in_cluster()) {
      FL_TRY(networks_lock, lock_file(context.paths.networks() + "/.lock", kLockMs));
    }
    FL_TRY(auto services, read_services(context, name));
    if (!services.empty())
      return fail("network " + name + " has services (" + some(names_of(services)) +
                  "); remove them first with: fairleadctl service rm --network " + name + " NAME");
    FL_TRY(auto endpoints, read_endpoints(context, name));
    if (!endpoints.empty())
      return fail("network " + name + " has endpoints (" + some(names_of(endpoints)) +
                  "); stop their containers first");
    FL_TRY(auto reservations, read_reservations(context, name));
    std::vector<std::string> reserved;
    for (const auto& r : reservations) reserved.push_back(r.name);
    if (!reserved.empty())
      return fail("network " + name + " has reservations (" + some(reserved) +
                  "); remove them first with: fairleadctl reservation rm --network " + name + " NAME");
    // A document that cannot be read may be an endpoint or a service in use.
    if (!context.warnings.empty()) return fail("network " + name + " stays: a document of it cannot be read");
    FL_CHECK(change.remove("networks/" + name, context.paths.network(name)));
    ::rmdir(context.paths.services(name).c_str());  // fails when somebody keeps something in it, and may
    remove_address_documents(context.paths, name, change.in_cluster());
    return context.json ? "" : "network " + name + " is removed\n";
  });
}

}  // namespace fairlead::ctl
