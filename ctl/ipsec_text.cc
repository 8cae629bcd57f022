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
  const std::string epoch = text(a, "epoch"), form = text(a, "form"), reason = text(a, "reason");
  return text(a, "spi") + (epoch.empty() ? "" : " (epoch " + epoch + ")") +
         (form.empty()    ? ""
          : form == "ESP" ? " in ESP"
                          : " in " + form + (reason.empty() ? "" : ", because " + reason));
}

// The other node has been asked and has seen nothing.
bool is_lost(const Json& a) {
  auto arrives = a.find("arrives");
  return arrives != a.end() && arrives->is_boolean() && !arrives->get<bool>();
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
  return name +
         (sends(peer)
              ? "sends " + association(peer["sending"]) + (is_lost(peer["sending"]) ? ", which does not arrive" : "")
              : "nothing is sent") +
         ", " + (in.empty() ? "nothing is received" : "receives " + in);
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
  size_t good = 0, in_udp = 0;
  std::string cut;
  for (const auto& peer : peers) {
    if (!peer.is_object()) continue;
    if (sends(peer) && text(peer["sending"], "form").starts_with("UDP")) in_udp++;
    if (sends(peer) && !is_lost(peer["sending"]) && !receiving(peer).empty())
      good++;
    else
      cut += (cut.empty() ? "" : ", ") + text(peer, "node");
  }
  return std::to_string(good) + " of " + std::to_string(peers.size()) + " nodes" +
         (in_udp ? ", " + std::to_string(in_udp) + " of them sent to in UDP" : "") +
         (cut.empty() ? "" : "; nothing passes both ways with " + cut);
}

}  // namespace fairlead::ctl
