#include "ctl/ipsec_text.h"

#include <nlohmann/json.hpp>

#include "base/daemon.h"

namespace fairlead::ctl {
namespace {

std::string text(const Json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::string association(const Json& a) {
  const std::string epoch = text(a, "epoch");
  return text(a, "spi") + (epoch.empty() ? "" : " (epoch " + epoch + ")");
}

std::string receiving(const Json& peer) {
  std::string all;
  if (auto list = peer.find("receiving"); list != peer.end() && list->is_array())
    for (const auto& a : *list)
      if (a.is_object()) all += (all.empty() ? "" : " and ") + association(a);
  return all;
}

bool sends(const Json& peer) { return peer.contains("sending") && peer["sending"].is_object(); }

std::string of_peer(const Json& peer) {
  const std::string in = receiving(peer), name = text(peer, "node") + ": ";
  if (!sends(peer) && in.empty()) return name + "no association, nothing passes";
  return name + (sends(peer) ? "sends " + association(peer["sending"]) : "nothing is sent") + ", " +
         (in.empty() ? "nothing is received" : "receives " + in);
}

}  // namespace

Json ipsec_of_agent(Context& context) {
  auto answer = get_from_daemon(context.paths.socket("agent"), "/status");
  if (!answer) return nullptr;
  auto status = parse_json(*answer, "fairlead-agent");
  if (!status || !status->is_object() || !status->contains("ipsec")) return nullptr;
  return (*status)["ipsec"];
}

std::string ipsec_sentence(const Json& peers) {
  if (!peers.is_array()) return "";
  std::string all;
  for (const auto& peer : peers)
    if (peer.is_object()) all += (all.empty() ? "" : "; ") + of_peer(peer);
  return all.empty() ? "no other node" : all;
}

std::string ipsec_summary(const Json& peers) {
  if (!peers.is_array() || peers.empty()) return "";
  size_t good = 0;
  std::string cut;
  for (const auto& peer : peers) {
    if (!peer.is_object()) continue;
    if (sends(peer) && !receiving(peer).empty())
      good++;
    else
      cut += (cut.empty() ? "" : ", ") + text(peer, "node");
  }
  return std::to_string(good) + " of " + std::to_string(peers.size()) + " nodes" +
         (cut.empty() ? "" : "; nothing passes both ways with " + cut);
}

}  // namespace fairlead::ctl
