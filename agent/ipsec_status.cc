#include "agent/ipsec_status.h"

#include <algorithm>
#include <sstream>

#include <nlohmann/json.hpp>

#include "base/file.h"

namespace fairlead::agent {
namespace {

using namespace std::chrono_literals;
constexpr auto kLookAgain = 2s;

std::string hex(uint32_t spi) {
  char text[16];
  snprintf(text, sizeof text, "0x%08x", spi);
  return text;
}

IpsecPeer::Association association_of(const kernel::State& state, const std::map<uint32_t, std::string>& epochs) {
  auto epoch = epochs.find(state.spi);
  return {state.spi,
          epoch == epochs.end() ? "" : epoch->second,
          state.packets,
          uint64_t{state.replayed} + state.late + state.not_authentic,
          state.encapsulation ? state.encapsulation->destination_port : uint16_t{0},
          {},
          ""};
}

Json json_of(const IpsecPeer::Association& a) {
  Json json{{"spi", hex(a.spi)}, {"packets", a.packets}, {"refused", a.refused}};
  if (!a.epoch.empty()) json["epoch"] = a.epoch;
  json["form"] = a.udp ? "UDP " + std::to_string(a.udp) : "ESP";
  if (a.arrives) json["arrives"] = *a.arrives;
  if (!a.reason.empty()) json["reason"] = a.reason;
  return json;
}

// Which epoch an SPI's key is from, as the two nodes agreed on it; what cannot be read is left out.
void read_epochs(const std::string& path, std::map<uint32_t, std::string>& epochs) {
  auto text = read_file(path);
  if (!text || !*text) return;
  auto json = parse_json(**text, path);
  if (!json || !json->is_object()) return;
  auto list = json->find("receive");
  if (list == json->end() || !list->is_array()) return;
  for (const auto& entry : *list) {
    if (!entry.is_object()) continue;
    auto spi = entry.find("spi"), epoch = entry.find("epoch");
    if (spi != entry.end() && spi->is_number_unsigned() && epoch != entry.end() && epoch->is_string())
      epochs[spi->get<uint32_t>()] = epoch->get<std::string>();
  }
}

}  // namespace

std::vector<IpsecPeer> ipsec_peers(const std::vector<Node>& nodes, const std::string& self,
                                   const std::vector<kernel::State>& states,
                                   const std::vector<kernel::Policy>& policies,
                                   const std::map<uint32_t, std::string>& epochs) {
  std::vector<IpsecPeer> peers;
  auto own = std::find_if(nodes.begin(), nodes.end(), [&](const Node& n) { return n.name == self; });
  if (own == nodes.end()) return peers;
  for (const auto& node : nodes) {
    if (node.name == self || node.address.family() != own->address.family()) continue;
    IpsecPeer peer{node.name, node.address, {}, {}};
    auto pinned = std::find_if(policies.begin(), policies.end(), [&](const kernel::Policy& p) {
      return p.direction == kernel::Direction::kOut && p.esp && p.esp->request_id == kernel::kRequestId &&
             p.esp->destination == node.address;
    });
    for (const auto& state : states) {
      if (state.request_id != kernel::kRequestId) continue;
      if (state.source == node.address && state.destination == own->address)
        peer.receiving.push_back(association_of(state, epochs));
      if (pinned != policies.end() && state.source == own->address && state.destination == node.address &&
          (pinned->esp->spi == 0 || pinned->esp->spi == state.spi))
        peer.sending = association_of(state, epochs);
    }
    peers.push_back(std::move(peer));
  }
  return peers;
}

std::string ipsec_metrics(const std::string& xfrm_stat) {
  std::string samples, name;
  uint64_t value = 0;
  for (std::istringstream lines(xfrm_stat); lines >> name >> value;)
    if (name.starts_with("Xfrm"))
      samples += "fairlead_ipsec_errors_total{reason=\"" + name.substr(4) + "\"} " + std::to_string(value) + "\n";
  if (samples.empty()) return "";
  return "# HELP fairlead_ipsec_errors_total Packets the kernel's IPsec dropped on this host, by its own names "
         "(Documentation/networking/xfrm_proc.rst).\n# TYPE fairlead_ipsec_errors_total counter\n" +
         samples;
}

Result<void> IpsecStatus::read(const Paths& paths, const StateView& view, const std::string& self) {
  if (!socket_) {
    FL_TRY(socket_, kernel::open_xfrm());
  }
  if (!socket_) return {};
  FL_TRY(auto states, kernel::dump_states(*socket_));
  FL_TRY(auto policies, kernel::dump_policies(*socket_));
  std::vector<Node> nodes;
  std::map<uint32_t, std::string> epochs;
  for (const auto& [name, node] : view.nodes()) {
    nodes.push_back(*node);
    read_epochs(paths.run + "/associations/" + name + ".json", epochs);
    read_epochs(paths.run + "/remote/associations/" + name + ".json", epochs);
  }
  peers_ = ipsec_peers(nodes, self, states, policies, epochs);
  FL_TRY(auto counters, read_file("/proc/net/xfrm_stat"));
  metrics_ = ipsec_metrics(counters.value_or(""));
  return {};
}

void IpsecStatus::look(const Paths& paths, const StateView& view, const std::string& self,
                       const std::map<std::string, AssociationWay>& ways, Clock::time_point now) {
  const auto& networks = view.networks();
  used_ = std::any_of(networks.begin(), networks.end(), [](const auto& n) { return n.second->encryption == "ipsec"; });
  if (used_ && now - looked_at_ < kLookAgain) return;
  looked_at_ = now;
  peers_.clear();
  metrics_.clear();
  // What cannot be read now is no problem of its own: those who need it say so.
  if (used_) (void)read(paths, view, self);
  for (auto& peer : peers_) {
    auto way = ways.find(peer.node);
    if (way == ways.end() || !peer.sending || way->second.udp != peer.sending->udp) continue;
    peer.sending->arrives = way->second.arrives;
    peer.sending->reason = way->second.reason;
  }
}

Json IpsecStatus::json() const {
  if (!used_) return nullptr;
  Json list = Json::array();
  for (const auto& peer : peers_) {
    Json entry{{"node", peer.node}, {"address", peer.address.to_string()}, {"receiving", Json::array()}};
    entry["sending"] = peer.sending ? json_of(*peer.sending) : Json(nullptr);
    for (const auto& a : peer.receiving) entry["receiving"].push_back(json_of(a));
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace fairlead::agent
