#include "ctl/who_has.h"

#include <sys/stat.h>
#include <time.h>

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/names.h"
#include "ctl/documents.h"
#include "ctl/table.h"
#include "ipam/blocks.h"
#include "ipam/ipam.h"
#include "ipam/lease.h"
#include "ipam/reservations.h"
#include "ipam/sticky.h"
#include "state/store.h"

namespace fairlead::ctl {
namespace {

struct Finding {
  std::string network;
  std::string state;  // in-use reserved kept vip vip-pool gateway unusable block free
  std::string text;   // for people
  std::string container, ifname, since, name, service, node;
  std::vector<std::string> names;
};

bool has(const std::vector<Address>& list, const Address& address) {
  return std::find(list.begin(), list.end(), address) != list.end();
}

std::string time_text(time_t time) {
  tm parts{};
  char text[32] = "";
  ::gmtime_r(&time, &parts);
  ::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string written_at(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 ? time_text(st.st_mtim.tv_sec) : std::string();
}

void describe_use(Finding& f) {
  f.state = "in-use";
  f.text = "container " + std::string(short_id(f.container)) + " " + f.ifname;
  if (!f.names.empty()) f.text += " (" + join(f.names, ", ") + ")";
  if (!f.since.empty()) f.text += " since " + f.since;
  if (!f.name.empty()) f.text += "; reserved for " + f.name;
}

// Somebody who has it: by our lease, else (another IPAM plugin gave it) by an endpoint's document.
bool find_user(Context& context, const Address& address, Finding& f) {
  ipam::LeaseStore store(context.paths, f.network);
  auto holder = store.holder(address);
  if (!holder) context.warnings.push_back(holder.error().message);
  if (holder && *holder) {
    f.container = (*holder)->container;
    f.ifname = (*holder)->ifname;
    f.names = (*holder)->names;
    f.since = written_at(store.lease_folder() + "/" + address.to_string());
    auto endpoint = is_object_name(f.network) ? load_endpoint(context.paths, f.network, f.container, f.ifname)
                                              : Result<std::optional<Endpoint>>(std::nullopt);
    if (endpoint && *endpoint) f.names = (*endpoint)->names;
    return true;
  }
  if (!is_object_name(f.network)) return false;
  auto endpoints = read_endpoints(context, f.network);
  if (!endpoints) return false;
  for (const auto& endpoint : *endpoints) {
    if (!has(endpoint.addresses, address)) continue;
    f.container = endpoint.container;
    f.ifname = endpoint.ifname;
    f.names = endpoint.names;
    f.since = written_at(context.paths.endpoint(f.network, f.container, f.ifname));
    return true;
  }
  return false;
}

// What the subnet's plan says of it, whoever is there.
bool find_role(Context& context, const Network& network, const Address& address, Finding& f) {
  const Prefix& subnet = *network.subnet(address.family());
  if (address == network.gateway(address.family())) {
    f.state = "gateway";
    f.text = "the gateway";
    return true;
  }
  if (address == subnet.first() || (address.is_v4() && address == subnet.last())) {
    f.state = "unusable";
    f.text = address == subnet.first() ? "the network address" : "the broadcast address";
    return true;
  }
  auto pool = network.vip_pool(address.family());
  if (!pool || !pool->contains(address)) return false;
  f.state = "vip-pool";
  f.text = "in the VIP pool, free";
  auto services = read_services(context, network.name);
  if (!services) return true;
  for (const auto& service : *services) {
    if (!has(service.vips, address)) continue;
    f.state = "vip";
    f.service = service.name;
    f.text = "VIP of service " + service.name;
  }
  return true;
}

// Nobody has it: whose it would be.
void find_claim(Context& context, const Address& address, Finding& f) {
  ipam::StickyStore sticky(context.paths, f.network);
  std::string kept_for = sticky.owner(address);
  auto block = ipam::block_of(context.paths, f.network, address);
  auto own = ipam::own_blocks(context.paths, f.network);
  if (!own) context.warnings.push_back(own.error().message);
  if (block) f.node = block->node;
  const bool foreign = own && *own && (!block || block->node != (*own)->node);
  if (!f.name.empty()) {
    f.state = "reserved";
    f.text = "reserved for " + f.name + ", not in use";
  } else if (foreign) {
    f.state = "block";
    f.text = block ? "in the block " + block->block.to_string() + " of node " + block->node
                   : "in no block of any node: nobody may give it";
  } else if (!kept_for.empty()) {
    f.state = "kept";
    f.name = kept_for;
    f.text = "kept for " + kept_for + ", which had it last (sticky)";
    auto document = sticky.find(kept_for);
    if (document && document->released)
      f.text += ", until " + time_text(static_cast<time_t>(document->released + document->keep_ms / 1000));
  } else {
    f.state = "free";
    f.text = block ? "free, in the block " + block->block.to_string() + " of this node" : "free";
  }
}

Finding look(Context& context, const Network& network, const Address& address) {
  Finding f;
  f.network = network.name;
  auto reservations = ipam::Reservations::open(context.paths, network.name);
  if (!reservations) context.warnings.push_back(reservations.error().message);
  if (reservations) f.name = reservations->owner(address);
  if (find_user(context, address, f))
    describe_use(f);
  else if (!find_role(context, network, address, f))
    find_claim(context, address, f);
  return f;
}

// Networks of other main plugins, of which there are leases and nothing else.
void look_for_leases(Context& context, const std::vector<Network>& known, const std::string& only,
                     const Address& address, std::vector<Finding>& findings) {
  auto folders = list_folders(context.paths.run + "/leases");
  if (!folders) return;
  for (const auto& folder : *folders) {
    bool listed = std::any_of(known.begin(), known.end(), [&](const Network& n) { return n.name == folder; });
    if (listed || !is_object_name(folder) || (!only.empty() && only != folder)) continue;
    Finding f;
    f.network = folder;
    if (!find_user(context, address, f)) continue;
    describe_use(f);
    findings.push_back(std::move(f));
  }
}

Json json_of(const Finding& f, const Address& address) {
  Json json{{"network", f.network}, {"address", address.to_string()}, {"state", f.state}, {"text", f.text}};
  for (const auto& [key, value] : {std::pair<const char*, const std::string&>{"container", f.container},
                                   {"ifname", f.ifname},
                                   {"since", f.since},
                                   {"service", f.service},
                                   {"node", f.node}})
    if (!value.empty()) json[key] = value;
  if (!f.names.empty()) json["names"] = f.names;
  if (!f.name.empty()) json[f.state == "kept" ? "keptFor" : "reservedFor"] = f.name;
  return json;
}

}  // namespace

Output endpoint_who_has(Context& context, const Address& address, const std::string& only) {
  FL_TRY(auto networks, read_networks(context));
  std::vector<Finding> findings;
  for (const auto& network : networks) {
    const Prefix* subnet = network.subnet(address.family());
    if ((only.empty() || only == network.name) && subnet && subnet->contains(address))
      findings.push_back(look(context, network, address));
  }
  look_for_leases(context, networks, only, address, findings);
  if (findings.empty())
    return fail(address.to_string() + " is in no network" + (only.empty() ? "" : " called " + only) +
                " of this node; list them with: fairleadctl network ls");
  if (context.json) {
    Json array = Json::array();
    for (const auto& f : findings) array.push_back(json_of(f, address));
    return json_text(array);
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& f : findings) rows.push_back({f.network, address.to_string(), f.text});
  return table({"NETWORK", "ADDRESS", "WHAT"}, rows);
}

}  // namespace fairlead::ctl
