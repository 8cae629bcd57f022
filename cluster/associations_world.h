// Machines with the exchange of associations in them, for its tests: a kernel, files, documents on their way.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <tuple>

#include "cluster/associations.h"

namespace fairlead::cluster {
using What = AssociationWork::What;
inline std::string fingerprint_of(const std::string& node, int version = 0) {
  char text[17];
  snprintf(text, sizeof text, "%016x", static_cast<unsigned>(node.back()) * 16 + static_cast<unsigned>(version));
  return text;
}

// What makes a key. Two installations with the same one would be the end of AES-GCM.
using KeyName = std::tuple<std::string, std::string, std::string, std::string, std::string, uint32_t, std::string>;

struct Sa {
  KeyName key;
  uint16_t udp = 0;
  uint64_t packets = 0;
  bool worn = false;
};

// One machine: what survives a kill of the agent (kernel, documents) and what does not (the engine).
struct Machine {
  std::string name;
  int key_version = 0;
  std::unique_ptr<Associations> engine;
  std::map<std::string, std::map<uint32_t, Sa>> outbound, inbound;  // by peer
  std::map<std::string, uint32_t> policy;                           // by peer
  std::map<std::string, AssociationDocument> written;               // run/associations
  std::map<std::string, AssociationDocument> heard;                 // run/remote/associations
  std::vector<std::string> epochs;                                  // as this one knows
  std::set<std::string> open;
  bool jumped = false;
  uint16_t udp = 4793;
  Encapsulation encapsulation = Encapsulation::kAuto;
};

class World {
 public:
  World(unsigned seed, int count) : random_(seed) {
    for (int i = 1; i <= count; i++) names_.push_back("n" + std::to_string(i));
    for (const auto& name : names_) machines_[name].name = name;
    rotate();
    for (const auto& name : names_) learn(name), start(name);
  }

  std::mt19937 random_;
  std::vector<std::string> names_;
  std::map<std::string, Machine> machines_;
  std::vector<std::string> epochs_;
  std::set<KeyName> sent_with;
  int64_t now = 1000;
  int number_ = 0;
  bool fail_some = false;
  std::set<std::tuple<std::string, std::string, bool>> blocked;  // from, to, in UDP

  unsigned below(unsigned n) { return std::uniform_int_distribution<unsigned>(0, n - 1)(random_); }
  std::string bytes(size_t count) {
    std::string text;
    while (text.size() < count) text += static_cast<char>(below(256));
    return text;
  }
  Machine& at(const std::string& name) { return machines_.at(name); }
  void rotate() {
    char id[24];
    snprintf(id, sizeof id, "%d-%08x", ++number_, below(1u << 30));
    epochs_.insert(epochs_.begin(), id);
    if (epochs_.size() > 2) epochs_.pop_back();
  }
  void learn(const std::string& name) {
    at(name).epochs = epochs_;
    at(name).open = {epochs_.begin(), epochs_.end()};
  }
  void start(const std::string& name) {
    Machine& m = at(name);
    m.engine = std::make_unique<Associations>([this](size_t n) { return bytes(n); });
    for (const auto& [peer, document] : m.written) m.engine->adopt(document);
  }
  void reboot(const std::string& name) {
    Machine& m = at(name);
    m.outbound.clear(), m.inbound.clear(), m.policy.clear(), m.written.clear(), m.heard.clear();
    start(name);
  }
  AssociationFacts facts(const Machine& m) const {
    AssociationFacts f;
    f.now_ms = now;
    f.self = m.name;
    f.key = fingerprint_of(m.name, m.key_version);
    f.epochs = m.epochs;
    f.open = m.open;
    f.clock_jumped = m.jumped;
    f.encapsulation = m.encapsulation;
    f.udp = m.udp;
    for (const auto& [name, other] : machines_) {
      if (name == m.name) continue;
      auto& peer = f.peers[name];
      peer.key = fingerprint_of(name, other.key_version);
      if (auto heard = m.heard.find(name); heard != m.heard.end()) peer.told = heard->second;
      if (auto out = m.outbound.find(name); out != m.outbound.end())
        for (const auto& [spi, sa] : out->second) peer.outbound[spi] = sa.worn;
      if (auto in = m.inbound.find(name); in != m.inbound.end())
        for (const auto& [spi, sa] : in->second) peer.inbound[spi] = sa.packets;
    }
    return f;
  }
  KeyName key_of(const Machine& m, const AssociationName& n, const std::string& peer) const {
    const std::string a = fingerprint_of(m.name, m.key_version), b = fingerprint_of(peer, at_(peer).key_version);
    return {n.epoch, n.sender, n.receiver, n.instance, n.nonce, n.spi, std::min(a, b) + std::max(a, b)};
  }
  const Machine& at_(const std::string& name) const { return machines_.at(name); }

  // One pass of the agent; killed after `steps` of its four parts.
  void pass(const std::string& name, int steps = 4) {
    Machine& m = at(name);
    const auto f = facts(m);
    m.jumped = false;
    for (const auto& work : m.engine->plan(f)) {
      if (fail_some && below(5) == 0) {
        m.engine->failed(work);
        continue;
      }
      const KeyName key = key_of(m, work.name, work.peer);
      if (work.what == What::kAddInbound) {
        ASSERT_TRUE(m.inbound[work.peer].emplace(work.name.spi, Sa{key, work.udp}).second) << "an SPI twice";
      } else {
        ASSERT_TRUE(sent_with.insert(key).second) << "a key twice for sending";
        ASSERT_TRUE(m.outbound[work.peer].emplace(work.name.spi, Sa{key, work.udp}).second);
      }
      if (steps == 1 && below(2)) return;
    }
    if (steps < 2) return;
    for (const auto& other : names_)
      if (other != name) m.policy[other] = m.engine->sending(other);
    for (const auto& peer : m.engine->probes(f))
      if (flows(name, peer)) at(peer).inbound[name][m.policy[peer]].packets += 3;
    if (steps < 3) return;
    for (const auto& work : m.engine->removals(f))
      (work.what == What::kRemoveInbound ? m.inbound : m.outbound)[work.peer].erase(work.name.spi);
    if (steps < 4) return;
    m.written = m.engine->documents();
  }
  void deliver(const std::string& from, const std::string& to) {
    auto document = at(from).written.find(to);
    if (document != at(from).written.end()) at(to).heard[from] = document->second;
  }
  void everything() {
    for (const auto& name : names_) pass(name);
    for (const auto& a : names_)
      for (const auto& b : names_)
        if (a != b) deliver(a, b);
  }
  // A packet from a to b arrives.
  bool flows(const std::string& a, const std::string& b) {
    Machine& from = at(a);
    const uint32_t spi = from.policy[b];
    auto out = from.outbound[b].find(spi);
    auto in = at(b).inbound[a].find(spi);
    return spi && out != from.outbound[b].end() && in != at(b).inbound[a].end() && out->second.key == in->second.key &&
           out->second.udp == in->second.udp && !blocked.count({a, b, out->second.udp != 0});
  }
  bool all_flow() {
    for (const auto& a : names_)
      for (const auto& b : names_)
        if (a != b && !flows(a, b)) return false;
    return true;
  }
  void settle(int64_t ms = 15000) {
    for (const int64_t end = now + ms; now < end; now += 500) everything();
  }
  // Everybody in the newest epoch, one association per direction.
  void expect_orderly() {
    for (const auto& a : names_) {
      for (const auto& b : names_) {
        if (a == b) continue;
        EXPECT_TRUE(flows(a, b)) << a << " to " << b;
        EXPECT_EQ(at(a).outbound[b].size(), 1u) << a << " to " << b;
        EXPECT_EQ(at(b).inbound[a].size(), 1u) << a << " to " << b;
        ASSERT_TRUE(at(a).written[b].send);
        EXPECT_EQ(at(a).written[b].send->epoch, epochs_[0]);
      }
    }
  }
};

}  // namespace fairlead::cluster
