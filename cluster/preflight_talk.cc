// The conversation. Who asks sends first at each step, so that what it has sent is there when the other one has sent
// its own and tells what it has heard.
#include <algorithm>
#include <cerrno>
#include <chrono>

#include <nlohmann/json.hpp>

#include "base/names.h"
#include "cluster/encoding.h"
#include "cluster/preflight.h"
#include "cluster/preflight_probe.h"

namespace fairlead::cluster {
namespace {

constexpr int kRounds = 3, kPauseMs = 20, kPatienceMs = 400, kStepMs = 5000;

int64_t wall_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

struct Peer {
  std::string marker;
  PreflightPorts ports;
  uint32_t mtu = 0;
};

Json introduction(const PreflightEnd& end, const PreflightProbe& probe, const std::string& marker) {
  return {{"marker", to_base64(marker)}, {"ports", to_json(end.ports)}, {"mtu", probe.mtu()}};
}

Result<Peer> peer_at(const Json& message) {
  auto marker = from_base64(text_at(message, "marker"));
  if (!marker || marker->size() != kMarkerBytes) return fail("preflight: this is no marker", EINVAL);
  const int64_t mtu = number_at(message, "mtu");
  if (mtu < kSmallestMtu || mtu > kLargestMtu) return fail("preflight: this is no MTU", EINVAL);
  FL_TRY(PreflightPorts ports, ports_at(message));
  return Peer{std::move(*marker), std::move(ports), static_cast<uint32_t>(mtu)};
}

void send_rounds(PreflightProbe& probe, const Peer& peer, const StopSignal& stop) {
  for (int round = 0; round < kRounds; round++) {
    probe.send_round(peer.ports.all(), peer.marker);
    probe.listen(kPauseMs, stop, [](const auto&) { return false; });
  }
}

// Until everything that can come has come.
void hear_rounds(PreflightProbe& probe, const PreflightPorts& own, const Peer& peer, const StopSignal& stop) {
  probe.listen(kPatienceMs, stop, [&](const PreflightProbe::Heard& heard) {
    for (uint16_t port : own.all())
      if (!heard.udp.contains(port)) return false;
    return heard.esp && heard.largest() >= peer.mtu;
  });
}

Json heard_of(const PreflightProbe& probe) {
  Json udp = Json::array();
  for (const auto& [port, size] : probe.heard().udp) udp.push_back(port);
  return {{"udp", std::move(udp)},
          {"esp", probe.heard().esp},
          {"largest", probe.heard().largest()},
          {"told", probe.told()}};
}

void take_heard(const Json& said, PreflightWay& way) {
  const Json udp = said.value("udp", Json::array());
  const auto wanted = way.ports.all();
  for (uint16_t port : wanted)
    if (udp.is_array() && std::find(udp.begin(), udp.end(), port) != udp.end()) way.heard.insert(port);
  way.esp = flag_at(said, "esp");
  way.passes = static_cast<uint32_t>(std::clamp<int64_t>(number_at(said, "largest"), 0, kLargestMtu));
}

// A port the other end has heard, and whether it has to be told how wide the way is.
uint16_t port_for_sizes(const PreflightWay& way) {
  return way.heard.empty() || way.passes >= way.mtu ? 0 : *way.heard.begin();
}

Result<Json> ask_step(Channel& channel, const Json& message) {
  FL_TRY(Json answer, channel.ask(message, kStepMs, kSmallMessage));
  return answer;
}

Result<void> ask_sizes(Channel& channel, PreflightProbe& probe, const Peer& peer, PreflightResult& result,
                       const StopSignal& stop) {
  const uint16_t out = port_for_sizes(result.out), in = port_for_sizes(result.in);
  if (!out && !in) return {};
  if (out) probe.send_sizes(out, peer.marker, stop);
  FL_TRY(Json said, ask_step(channel, {{"step", "sizes"}, {"port", in}}));
  // An answer to the largest that passes: nothing tells that no more will come.
  if (in) probe.listen(kPatienceMs, stop, [](const auto&) { return false; });
  result.out.passes = static_cast<uint32_t>(std::clamp<int64_t>(number_at(said, "largest"), 0, kLargestMtu));
  result.in.passes = probe.heard().largest();
  result.in.told = static_cast<uint32_t>(std::clamp<int64_t>(number_at(said, "told"), 0, kLargestMtu));
  result.out.told = probe.told();
  return {};
}

}  // namespace

Result<PreflightResult> ask_preflight(Channel& channel, const PreflightEnd& end, const StopSignal& stop) {
  const std::string marker = random_bytes(kMarkerBytes);
  FL_TRY(auto probe, PreflightProbe::open(end.own, end.peer, marker));
  Json request = introduction(end, probe, marker);
  request["op"] = "preflight";
  const int64_t before = wall_ms(), started = now_ms();
  FL_TRY(Json said, ask_step(channel, request));
  const int64_t took = now_ms() - started;
  FL_TRY(Peer peer, peer_at(said));
  PreflightResult result;
  result.self = end.name;
  result.peer = text_at(said, "name");
  if (!is_object_name(result.peer)) return fail("preflight: the manager's name is none", EBADMSG);
  result.own = end.own;
  FL_TRY(result.seen, Address::parse(text_at(said, "seen")));
  result.clock_ms = before + took / 2 - time_at(said, "time");
  result.clock_error_ms = took / 2 + 1;
  result.out = {.from = end.name, .to = result.peer, .ports = peer.ports, .mtu = probe.mtu()};
  result.in = {.from = result.peer, .to = end.name, .ports = end.ports, .mtu = peer.mtu};
  send_rounds(probe, peer, stop);
  FL_TRY(said, ask_step(channel, {{"step", "ports"}}));
  take_heard(said, result.out);
  hear_rounds(probe, end.ports, peer, stop);
  take_heard(heard_of(probe), result.in);
  FL_CHECK(ask_sizes(channel, probe, peer, result, stop));
  return result;
}

Result<void> answer_preflight(Channel& channel, const PreflightEnd& end, const Json& request, const StopSignal& stop) {
  FL_TRY(Peer peer, peer_at(request));
  const std::string marker = random_bytes(kMarkerBytes);
  FL_TRY(auto probe, PreflightProbe::open(end.own, end.peer, marker));
  Json answer = introduction(end, probe, marker);
  answer["name"] = end.name;
  answer["seen"] = end.peer.to_string();
  answer["time"] = wall_ms();
  FL_CHECK(channel.send(answer, kStepMs));
  FL_TRY(auto step, channel.receive(kSmallMessage, kStepMs));
  if (!step) return {};
  if (text_at(*step, "step") != "ports") return fail("preflight: another step was expected", EINVAL);
  send_rounds(probe, peer, stop);
  hear_rounds(probe, end.ports, peer, stop);
  FL_CHECK(channel.send(heard_of(probe), kStepMs));
  // Only who needs it asks for the sizes, too; else the connection is closed.
  FL_TRY(step, channel.receive(kSmallMessage, kStepMs));
  if (!step) return {};
  if (text_at(*step, "step") != "sizes") return fail("preflight: another step was expected", EINVAL);
  const int64_t port = number_at(*step, "port");
  for (uint16_t wanted : peer.ports.all())
    if (wanted == port) probe.send_sizes(wanted, peer.marker, stop);
  probe.listen(kPatienceMs, stop, [](const auto&) { return false; });
  return channel.send(heard_of(probe), kStepMs);
}

}  // namespace fairlead::cluster
