#include "ctl/preflight_text.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "cluster/channel.h"

namespace fairlead::ctl {
namespace {

constexpr size_t kWidth = 14;

std::string line(bool good, std::string what, const std::string& text) {
  what.resize(std::max(kWidth, what.size() + 1), ' ');
  std::string out = (good ? "  " : "! ") + what + text;
  for (char& c : out)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
  return out + "\n";
}

}  // namespace

std::string preflight_text(const Json& preflight, const std::string& self) {
  using cluster::text_at;
  const Json peers = preflight.value("peers", Json::array());
  if (!peers.is_array() || peers.empty()) return "no other manager: there is nothing to try yet\n";
  std::string text;
  for (const auto& peer : peers) {
    if (!peer.is_object()) continue;
    const std::string address = text_at(peer, "address"), name = text_at(peer, "name");
    text += "between " + self + " and " + (name.empty() ? address : name + " (" + address + ")") + ":\n";
    if (peer.contains("problem")) text += line(false, "", "could not be tried: " + text_at(peer, "problem"));
    const Json findings = peer.value("findings", Json::array());
    for (const auto& f : findings)
      if (f.is_object()) text += line(text_at(f, "state") != "missing", text_at(f, "what"), text_at(f, "text"));
  }
  return text;
}

}  // namespace fairlead::ctl
