#include "lb/nft_table.h"

#include <sys/socket.h>

#include <algorithm>

#include "lb/schedule.h"

namespace fairlead::lb {
namespace {

const char* family(const Address& a) { return a.is_v6() ? "ip6" : "ip"; }
char digit(const Address& a) { return a.is_v6() ? '6' : '4'; }

std::string hex(const Address& a) {
  static const char digits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < a.size(); i++) {
    text += digits[a.bytes()[i] >> 4];
    text += digits[a.bytes()[i] & 15];
  }
  return text;
}

// "0a20ff01_tcp_80"
std::string suffix(const FrontendKey& key) {
  return hex(key.address) + "_" + protocol_name(key.protocol) + "_" + std::to_string(key.port);
}

std::string key_text(const FrontendKey& key) {
  return key.address.to_string() + " . " + protocol_name(key.protocol) + " . " + std::to_string(key.port);
}

std::string target(const Backend& b) {
  std::string host = b.address.is_v6() ? "[" + b.address.to_string() + "]" : b.address.to_string();
  return host + ":" + std::to_string(b.port);
}

// A number for each backend in the affinity map. It must mean the same backend after any change of the list.
std::vector<uint32_t> backend_ids(const Frontend& frontend) {
  std::vector<uint32_t> ids;
  std::set<uint32_t> used;
  for (const auto& b : frontend.backends) {
    uint32_t hash = 0x811c9dc5;
    for (char c : target(b)) hash = (hash ^ static_cast<unsigned char>(c)) * 0x01000193;
    while (hash == 0 || !used.insert(hash).second) hash++;
    ids.push_back(hash);
  }
  return ids;
}

// The slots of a frontend and the expression that chooses one.
struct Choice {
  std::string pick;
  std::vector<uint32_t> slots;
};

Choice choice(const Frontend& f, const LoadSlots& load) {
  std::vector<uint32_t> weights;
  std::vector<Load> idle;
  std::vector<uint32_t> usable;
  for (uint32_t i = 0; i < f.backends.size(); i++) {
    weights.push_back(f.backends[i].weight);
    idle.push_back({f.scheduler == "lc" ? std::min(f.backends[i].weight, 1u) : f.backends[i].weight, 0});
    if (f.backends[i].weight > 0) usable.push_back(i);
  }
  std::string client = std::string("jhash ") + family(f.key.address) + " saddr";
  if (f.scheduler == "sh") return {client, weighted_slots(weights)};
  if (f.scheduler == "mh") return {client, maglev_slots(weights, backend_ids(f))};
  if (f.scheduler == "wrr") return {"numgen inc", weighted_slots(weights)};
  if (follows_load(f.scheduler)) {
    auto found = load.find(f.key);
    return {"numgen inc", found != load.end() ? found->second : least_connection_slots(idle)};
  }
  return {"numgen inc", usable};
}

std::string dnat(const Frontend& f) {
  return std::string("meta l4proto ") + protocol_name(f.key.protocol) + " dnat " + family(f.key.address) + " to ";
}

// "numgen inc mod 2 map { 0 : a, 1 : b }"
std::string slot_map(const Choice& c, const char* keyword, const std::vector<std::string>& values) {
  std::string seed = c.pick[0] == 'j' ? " seed 0x57" : "";
  std::string text = c.pick + " mod " + std::to_string(c.slots.size()) + seed + " " + keyword + " { ";
  for (size_t i = 0; i < c.slots.size(); i++) text += (i ? ", " : "") + std::to_string(i) + " : " + values[c.slots[i]];
  return text + " }";
}

void add_plain(NftTable& table, const Frontend& f, const Choice& c) {
  std::vector<std::string> values;
  for (const auto& b : f.backends) values.push_back(b.address.to_string() + " . " + std::to_string(b.port));
  bool one = c.slots.size() == 1;  // a modulus must be at least 2
  table.chains["f_" + suffix(f.key)] = {dnat(f) + (one ? target(f.backends[c.slots[0]]) : slot_map(c, "map", values))};
}

// The client's address leads to the number of its backend for affinity_seconds after its last new connection. The
// packet mark carries the number between two rules only; routing must not see it.
void add_affine(NftTable& table, const Frontend& f, const Choice& c) {
  std::string map = "a_" + suffix(f.key), saddr = std::string(family(f.key.address)) + " saddr";
  table.affinity[map] = f.key.address.is_v6() ? "ipv6_addr" : "ipv4_addr";
  std::vector<uint32_t> ids = backend_ids(f);
  std::vector<std::string> jumps;
  std::string known;
  for (size_t i = 0; i < f.backends.size(); i++) {
    const Backend& b = f.backends[i];
    std::string chain = "b_" + suffix(f.key) + "_" + hex(b.address) + "_" + std::to_string(b.port);
    jumps.push_back("goto " + chain);
    if (b.weight == 0) continue;
    known += (known.empty() ? "" : ", ") + std::to_string(ids[i]) + " : goto " + chain;
    // Two rules: a full map ends the first one, and the connection is balanced all the same.
    table.chains[chain] = {"update @" + map + " { " + saddr + " timeout " + std::to_string(f.affinity_seconds) +
                               "s : " + std::to_string(ids[i]) + " }",
                           "meta mark set 0 " + dnat(f) + target(b)};
  }
  std::string pick = c.slots.size() == 1 ? jumps[c.slots[0]] : slot_map(c, "vmap", jumps);
  // An entry of a backend that is gone must be deleted: update would prolong it and keep its number (nft_dynset.c).
  table.chains["f_" + suffix(f.key)] = {"meta mark set " + saddr + " map @" + map, "meta mark vmap { " + known + " }",
                                        "meta mark != 0 delete @" + map + " { " + saddr + " : 0 } meta mark set 0",
                                        pick};
}

void add_hairpin(NftTable& table, const RouterPlan& plan) {
  std::vector<std::string> rules = {"type nat hook postrouting priority srcnat; policy accept;"};
  if (plan.gateway4) rules.push_back("ip saddr . ip daddr @hairpin4 snat ip to " + plan.gateway4.to_string());
  if (plan.gateway6) rules.push_back("ip6 saddr . ip6 daddr @hairpin6 snat ip6 to " + plan.gateway6.to_string());
  table.base["postrouting"] = rules;
  for (const auto& a : plan.hairpin)
    table.elements[std::string("hairpin") + digit(a)].insert(a.to_string() + " . " + a.to_string());
}

}  // namespace

bool follows_load(const std::string& scheduler) { return scheduler == "lc" || scheduler == "wlc"; }

std::string nft_problem(const Frontend& f) {
  static const std::set<std::string> possible = {"rr", "wrr", "lc", "wlc", "sh", "mh"};
  if (possible.count(f.scheduler)) return "";
  return "scheduler " + f.scheduler +
         " needs the ipvs balancer, and this node uses nft: choose one of rr wrr lc wlc sh mh";
}

NftTable nft_hairpin_table(const RouterPlan& plan) {
  NftTable table;
  table.sets = {{"hairpin4", "set { type ipv4_addr . ipv4_addr; }"},
                {"hairpin6", "set { type ipv6_addr . ipv6_addr; }"}};
  add_hairpin(table, plan);
  return table;
}

NftTable nft_table(const RouterPlan& plan, const LoadSlots& load) {
  NftTable table = nft_hairpin_table(plan);
  for (const char* v : {"4", "6"}) {
    std::string key = std::string("ipv") + v + "_addr . inet_proto . inet_service";
    table.sets[std::string("service") + v] = "map { type " + key + " : verdict; }";
    table.sets[std::string("refused") + v] = "set { type " + key + "; }";
  }
  std::vector<std::string> balance = {"ip daddr . meta l4proto . th dport vmap @service4",
                                      "ip6 daddr . meta l4proto . th dport vmap @service6"};
  for (const char* hook : {"prerouting", "output"}) {
    auto& chain = table.base[hook];
    chain = {std::string("type nat hook ") + hook + " priority -100; policy accept;"};
    chain.insert(chain.end(), balance.begin(), balance.end());
  }
  table.base["refuse"] = {"", "meta l4proto tcp reject with tcp reset", "reject with icmpx type port-unreachable"};
  // Before the agent's filter, whose policy is to drop silently.
  table.base["input"] = {"type filter hook input priority -10; policy accept;",
                         "ip daddr . meta l4proto . th dport @refused4 goto refuse",
                         "ip6 daddr . meta l4proto . th dport @refused6 goto refuse"};
  for (const auto& [key, frontend] : plan.frontends) {
    Choice c = choice(frontend, load);
    if (c.slots.empty()) {
      table.elements[std::string("refused") + digit(key.address)].insert(key_text(key));
      continue;
    }
    if (frontend.affinity_seconds > 0)
      add_affine(table, frontend, c);
    else
      add_plain(table, frontend, c);
    table.elements[std::string("service") + digit(key.address)].insert(key_text(key) + " : goto f_" + suffix(key));
  }
  return table;
}

NftTable nft_host_table(const HostPlan& plan) {
  NftTable table;
  for (const char* v : {"4", "6"}) {
    std::string address = std::string("ipv") + v + "_addr", key = "inet_proto . inet_service",
                value = address + " . inet_service";
    table.sets[std::string("port") + v] = "map { type " + key + " : " + value + "; }";
    table.sets[std::string("address_port") + v] = "map { type " + address + " . " + key + " : " + value + "; }";
  }
  // Only what is meant for this machine: a port on any destination would catch forwarded traffic (CVE-2025-67499).
  for (const char* hook : {"prerouting", "output"})
    table.base[hook] = {std::string("type nat hook ") + hook + " priority -100; policy accept;",
                        "fib daddr type local jump published"};
  table.base["published"] = {"", "dnat ip to ip daddr . meta l4proto . th dport map @address_port4",
                             "dnat ip6 to ip6 daddr . meta l4proto . th dport map @address_port6",
                             "meta nfproto ipv4 dnat ip to meta l4proto . th dport map @port4",
                             "meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @port6"};
  for (const auto& [key, port] : plan.ports) {
    std::string set = std::string(key.host_ip ? "address_port" : "port") + (key.family == AF_INET ? "4" : "6");
    std::string element = std::string(protocol_name(key.protocol)) + " . " + std::to_string(key.port) + " : " +
                          port.router.to_string() + " . " + std::to_string(port.router_port);
    table.elements[set].insert(key.host_ip ? key.host_ip.to_string() + " . " + element : element);
  }
  return table;
}

}  // namespace fairlead::lb
