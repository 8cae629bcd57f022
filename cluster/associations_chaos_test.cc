// A world in which everything goes wrong that may: kills at any point, reboots, flushed kernels, lost, late, repeated
// and reordered documents, rotations on top of one another, clocks that jump, keys that change, ways that are blocked.
#include <gtest/gtest.h>

#include <deque>

#include "cluster/associations_world.h"

namespace fairlead::cluster {
namespace {

struct Accidents {
  World& w;
  std::deque<std::tuple<std::string, std::string, AssociationDocument>> late;

  void to_agent(const std::string& a) {
    Machine& m = w.at(a);
    switch (w.below(6)) {
      case 0:
        return w.start(a);  // killed between two passes
      case 1:
        w.pass(a, static_cast<int>(w.below(4)));  // killed within one
        return w.start(a);
      case 2:
        if (w.below(4) == 0) w.reboot(a);
        return;
      case 3:
        m.jumped = w.below(4) == 0;
        return;
      case 4:
        if (w.below(8) == 0) m.key_version++;
        return;
      default:
        if (w.below(4) == 0) w.rotate();
    }
  }
  void to_kernel(const std::string& a, const std::string& b) {
    Machine& m = w.at(a);
    switch (w.below(4)) {
      case 0:
        m.outbound[b].clear();
        return;
      case 1:
        m.inbound[b].clear();
        return;
      case 2:
        for (auto& [spi, sa] : m.outbound[b]) sa.worn = true;
        return;
      default:
        if (w.below(3) == 0) m.inbound.clear(), m.outbound.clear(), m.policy.clear();
    }
  }
  void to_documents(const std::string& a, const std::string& b) {
    Machine& m = w.at(a);
    switch (w.below(6)) {
      case 0:
        m.written.erase(b);
        return;
      case 1:
        m.heard.erase(b);
        return;
      case 2:
        m.open.clear();
        return;
      case 3:
        if (auto document = m.written.find(b); document != m.written.end()) late.emplace_back(a, b, document->second);
        return;
      default:
        if (late.empty()) return;
        const auto& [from, to, document] = late[w.below(static_cast<unsigned>(late.size()))];
        if (from != to) w.at(to).heard[from] = document;
        if (late.size() > 20) late.pop_front();
    }
  }
  // What passes, and what the operators and the hosts allow.
  void to_path(const std::string& a, const std::string& b) {
    Machine& m = w.at(a);
    switch (w.below(4)) {
      case 0:
        m.udp = w.below(2) ? 4793 : 0;
        return;
      case 1:
        m.encapsulation = static_cast<Encapsulation>(w.below(3));
        return;
      case 2:
        w.blocked.insert({a, b, w.below(2)});
        return;
      default:
        w.blocked.clear();
    }
  }
  void next() {
    const std::string a = w.names_[w.below(static_cast<unsigned>(w.names_.size()))];
    const std::string b = w.names_[w.below(static_cast<unsigned>(w.names_.size()))];
    const unsigned dice = w.below(25);
    if (dice < 6) to_agent(a);
    if (dice >= 6 && dice < 10) to_kernel(a, b);
    if (dice >= 10 && dice < 16) to_documents(a, b);
    if (dice == 16) w.learn(a);
    if (dice >= 17 && dice < 20 && a != b) w.deliver(a, b);
    if (dice >= 20 && dice < 24) w.pass(a);
    if (dice == 24) to_path(a, b);
    if (w.below(5) == 0) w.everything();
    w.now += w.below(400);
  }
};

class Chaos : public testing::TestWithParam<unsigned> {};

TEST_P(Chaos, NeverAKeyTwiceAndAlwaysBackInOrder) {
  World w(GetParam(), GetParam() % 2 ? 2 : 3);
  Accidents accidents{w, {}};
  for (int round = 0; round < 8; round++) {
    w.fail_some = round % 2;
    for (int i = 0; i < 400; i++) {
      accidents.next();
      if (HasFatalFailure()) return;
    }
    w.fail_some = false;
    w.blocked.clear();
    for (const auto& name : w.names_) {
      w.learn(name);
      w.at(name).encapsulation = Encapsulation::kAuto;
      w.at(name).udp = 4793;
    }
    w.settle();
    w.expect_orderly();
    if (HasFailure()) return;
  }
  EXPECT_GT(w.sent_with.size(), 30u) << "the chaos did something";
}

INSTANTIATE_TEST_SUITE_P(Seeds, Chaos, testing::Range(100u, 200u));

}  // namespace
}  // namespace fairlead::cluster
