#include "cluster/preflight.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cluster/preflight_probe.h"
#include "state/node_record.h"
#include "state/records.h"
#include "state/store.h"
#include "state/vxlan_port.h"

namespace fairlead::cluster {
namespace {

constexpr uint16_t kWireguardPort = 4792;  // as overlay/wireguard_plan.h has it

template <class Record>
std::vector<Record> read_all(const std::string& folder, Result<Record> (*decode)(const Json&, const std::string&)) {
  std::vector<Record> records;
  auto names = list_documents(folder);
  for (const auto& name : names ? *names : std::vector<std::string>()) {
    const std::string path = folder + "/" + name + ".json";
    auto text = read_file(path);
    auto json = text && *text ? parse_json(**text, path) : fail(path);
    auto record = json ? decode(*json, path) : fail(json.error());
    if (record) records.push_back(std::move(*record));  // whose document is bad is said elsewhere
  }
  return records;
}

std::string seconds_text(int64_t ms) {
  const int64_t tenths = (std::llabs(ms) + 50) / 100;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

// "from n3 to n1", "from n1 to n3", "in either direction"; "" when neither is missing.
std::string missing_ways(const PreflightResult& result, bool out, bool in) {
  if (!out && !in) return "in either direction";
  const PreflightWay& way = out ? result.in : result.out;
  return out && in ? "" : "from " + way.from + " to " + way.to;
}

using Finding = PreflightFinding;

Finding clock(const PreflightResult& result) {
  const int64_t apart = std::max<int64_t>(0, std::llabs(result.clock_ms) - result.clock_error_ms);
  if (apart <= kClockToleranceMs) return {"clock", Finding::kGood, seconds_text(result.clock_ms) + " apart"};
  return {"clock", Finding::kMissing,
          "this node's is " + seconds_text(result.clock_ms) + (result.clock_ms > 0 ? " ahead of " : " behind ") +
              result.peer + "'s: let both follow a time server"};
}

// One UDP port in both directions; the ports may differ.
void udp(const PreflightResult& r, std::vector<Finding>& findings, const std::string& what, uint16_t out, uint16_t in,
         const std::string& next) {
  const bool good_out = out == 0 || r.out.heard.contains(out), good_in = in == 0 || r.in.heard.contains(in);
  const uint16_t missing = good_out ? in : out;
  std::string ports = std::to_string(out ? out : in);
  if (out && in && out != in) ports += " of " + r.peer + ", " + std::to_string(in) + " of " + r.self;
  if (good_out && good_in)
    findings.push_back({what, Finding::kGood, "UDP " + ports + (ports.find(',') == ports.npos ? " passes" : " pass")});
  else
    findings.push_back({what, Finding::kMissing,
                        "UDP " + (good_out || good_in ? std::to_string(missing) : ports) + " does not pass " +
                            missing_ways(r, good_out, good_in) + ": " + next});
}

void vxlan(const PreflightResult& r, std::vector<Finding>& findings) {
  std::set<uint16_t> ports(r.out.ports.vxlan.begin(), r.out.ports.vxlan.end());
  ports.insert(r.in.ports.vxlan.begin(), r.in.ports.vxlan.end());
  auto wanted = [](const PreflightWay& way, uint16_t port) {
    return std::find(way.ports.vxlan.begin(), way.ports.vxlan.end(), port) != way.ports.vxlan.end();
  };
  for (uint16_t port : ports)
    udp(r, findings, "VXLAN", wanted(r.out, port) ? port : 0, wanted(r.in, port) ? port : 0,
        "open it, networks without encryption use it");
}

Finding esp(const PreflightResult& r) {
  if (r.out.esp && r.in.esp) return {"IPsec", Finding::kGood, "protocol 50 passes"};
  const bool by_udp = r.out.heard.contains(r.out.ports.ipsec) && r.in.heard.contains(r.in.ports.ipsec);
  const std::string port = "UDP " + std::to_string(r.out.ports.ipsec);
  return {"IPsec", Finding::kMissing,
          "protocol 50 does not pass " + missing_ways(r, r.out.esp, r.in.esp) + ": " +
              (by_udp ? "networks with encryption ipsec use " + port
                      : "open it or " + port + ", networks with encryption ipsec need one of them")};
}

std::string way_text(const PreflightWay& way) { return " from " + way.from + " to " + way.to; }

// A way that is narrower than its link, of which the sender knows, is nothing to mend: the overlay keeps to it.
Finding narrow(const PreflightWay& way) {
  const std::string only =
      "only " + std::to_string(way.passes) + " of " + std::to_string(way.mtu) + " pass" + way_text(way);
  if (way.passes >= kSmallestMtu && way.told && way.told < way.mtu)
    return {"MTU", Finding::kGood, only + ", and the way says so"};
  if (way.passes >= kSmallestMtu)
    return {"MTU", Finding::kMissing, only + ": lower the link's MTU or let ICMP through"};
  return {"MTU", Finding::kMissing,
          "not even " + std::to_string(kSmallestMtu) + " of " + std::to_string(way.mtu) + " pass" + way_text(way) +
              ": the way between nodes must carry that"};
}

void mtu(const PreflightResult& r, std::vector<Finding>& findings) {
  std::vector<const PreflightWay*> full;
  for (const PreflightWay* way : {&r.out, &r.in}) {
    if (way->heard.empty())
      findings.push_back({"MTU", Finding::kUnknown, "not known" + way_text(*way) + ": no UDP passes"});
    else if (way->passes >= way->mtu)
      full.push_back(way);
    else
      findings.push_back(narrow(*way));
  }
  if (full.size() == 2 && r.out.mtu == r.in.mtu)
    findings.push_back({"MTU", Finding::kGood, std::to_string(r.out.mtu) + " passes"});
  else
    for (const auto* way : full)
      findings.push_back({"MTU", Finding::kGood, std::to_string(way->mtu) + " passes" + way_text(*way)});
}

}  // namespace

std::vector<uint16_t> PreflightPorts::all() const {
  std::set<uint16_t> ports(vxlan.begin(), vxlan.end());
  ports.insert(ipsec);
  if (wireguard) ports.insert(wireguard);
  return {ports.begin(), ports.end()};
}

Result<PreflightPorts> preflight_ports(const Paths& paths, const std::string& self) {
  PreflightPorts ports;
  ports.vxlan = {kVxlanPort};
  for (const auto& network : read_all(paths.networks(), decode_network)) {
    const uint16_t port = vxlan_port(network);
    const bool known = std::find(ports.vxlan.begin(), ports.vxlan.end(), port) != ports.vxlan.end();
    if (network.encryption == "none" && !known && ports.vxlan.size() < kMaxPreflightPorts) ports.vxlan.push_back(port);
  }
  const std::string file = paths.node_document();
  auto text = read_file(file);
  auto settings = text && *text ? parse_json(**text, file) : fail(file);
  const int64_t ipsec = settings && settings->is_object() ? number_at(*settings, "ipsecUdpPort", kIpsecUdpPort) : 0;
  ports.ipsec = ipsec > 0 && ipsec <= UINT16_MAX ? static_cast<uint16_t>(ipsec) : kIpsecUdpPort;
  ports.wireguard = kWireguardPort;
  for (const auto& node : read_all(paths.nodes(), decode_node))
    if (node.name == self && node.wireguard_port) ports.wireguard = static_cast<uint16_t>(node.wireguard_port);
  return ports;
}

Json to_json(const PreflightPorts& ports) {
  return {{"vxlan", ports.vxlan}, {"ipsec", ports.ipsec}, {"wireguard", ports.wireguard}};
}

Result<PreflightPorts> ports_at(const Json& message) {
  auto field = message.find("ports");
  if (field == message.end() || !field->is_object()) return fail("preflight: the ports are missing", EINVAL);
  auto port = [](int64_t number) { return number > 0 && number <= UINT16_MAX ? static_cast<uint16_t>(number) : 0; };
  PreflightPorts ports;
  ports.ipsec = static_cast<uint16_t>(port(number_at(*field, "ipsec")));
  ports.wireguard = static_cast<uint16_t>(port(number_at(*field, "wireguard")));
  const Json vxlan = field->value("vxlan", Json::array());
  for (const auto& item : vxlan.is_array() ? vxlan : Json::array()) {
    const auto number = static_cast<uint16_t>(item.is_number_integer() ? port(item.get<int64_t>()) : 0);
    if (!number || ports.vxlan.size() == kMaxPreflightPorts) return fail("preflight: these are no ports", EINVAL);
    ports.vxlan.push_back(number);
  }
  if (!ports.ipsec || !ports.wireguard) return fail("preflight: these are no ports", EINVAL);
  return ports;
}

std::vector<PreflightFinding> findings_of(const PreflightResult& r) {
  std::vector<PreflightFinding> findings{clock(r)};
  if (r.own != r.seen)
    findings.push_back({"address", Finding::kMissing,
                        r.peer + " sees this node as " + r.seen.to_string() + ", not as " + r.own.to_string() +
                            ": nothing may translate addresses between nodes"});
  vxlan(r, findings);
  findings.push_back(esp(r));
  const std::string instead = "open it, it is used where protocol 50 does not pass";
  udp(r, findings, "IPsec in UDP", r.out.ports.ipsec, r.in.ports.ipsec, instead);
  udp(r, findings, "WireGuard", r.out.ports.wireguard, r.in.ports.wireguard,
      "open it, networks with encryption wireguard use it");
  mtu(r, findings);
  return findings;
}

}  // namespace fairlead::cluster
