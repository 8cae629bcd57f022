// What AssociationKeeper tells others: problems, metrics, ways; and the log line when a way changes.
#include <algorithm>

#include "agent/associations.h"
#include "base/log.h"
#include "cluster/epoch_seal.h"

namespace fairlead::agent {
namespace {

constexpr const char* kPlain = "ESP (IP protocol 50)";

std::string in_udp(uint16_t port) { return "ESP in UDP port " + std::to_string(port); }

// Only after probes: a node that has just been told of is no problem yet.
std::string way_problem(const AssociationWay& way, const cluster::Associations::Path& path, uint16_t peers_port) {
  if (way.arrives.value_or(true) || path.missed + path.changes == 0) return "";
  if (path.changes >= 2)
    return std::string("neither ") + kPlain +
           " nor ESP in UDP arrives there from this node; open one of the two "
           "(IP protocol 50, or UDP port " +
           std::to_string(way.udp ? way.udp : peers_port) + ") in the firewalls between";
  if (path.missed < cluster::Associations::kMissedRounds) return "";
  if (way.udp)
    return in_udp(way.udp) +
           " does not arrive there from this node, and plain ESP is not allowed "
           "(ipsecEncapsulation in node.json)";
  if (peers_port) return std::string(kPlain) + " does not arrive there from this node; ESP in UDP is tried";
  return std::string(kPlain) +
         " does not arrive there from this node, and that node takes no ESP in UDP "
         "(ipsecEncapsulation in its node.json, or its agent says why)";
}

}  // namespace

std::map<std::string, AssociationWay> AssociationKeeper::ways() const {
  std::lock_guard lock(mutex_);
  return ways_;
}

AssociationWay AssociationKeeper::way_to(const std::string& name) {
  AssociationWay way;
  const auto& own = engine_.documents();
  const auto path = engine_.path(name);
  auto document = own.find(name);
  if (document == own.end() || !document->second.sending) return way;
  auto state = forms_.find(document->second.sending);
  way.udp = state == forms_.end() ? uint16_t{0} : state->second;
  if (path.arrives || path.missed) way.arrives = path.arrives;
  if (way.udp)
    way.reason = documents_.encapsulation == cluster::Encapsulation::kUdp
                     ? "node.json says so"
                     : std::string(kPlain) + " did not arrive there";
  return way;
}

std::string AssociationKeeper::problem_of(const std::string& name, const cluster::AssociationFacts& facts) const {
  const bool told = documents_.told.count(name);
  if (!engine_.sending(name)) {
    if (documents_.peers.at(name).seal_key.empty()) return "it has not told its public key";
    if (facts.epochs.empty()) return "there is no epoch yet; a manager makes one";
    if (facts.open.empty()) return "this node has no copy of an epoch it can open";
    if (!told) return "it has said nothing yet";
    if (documents_.encapsulation == cluster::Encapsulation::kUdp && !documents_.told.at(name).udp)
      return "it takes no ESP in UDP, and this node sends nothing else (ipsecEncapsulation in node.json)";
    return "it has not answered with an association yet";
  }
  return way_problem(ways_.at(name), engine_.path(name), told ? documents_.told.at(name).udp : uint16_t{0});
}

// A change is told when the new form has proved itself.
void AssociationKeeper::tell_changes() {
  for (const auto& [name, way] : ways_) {
    if (!way.arrives.value_or(false)) continue;
    auto known = known_forms_.find(name);
    const uint16_t before = known == known_forms_.end() ? uint16_t{0} : known->second;
    if (before != way.udp) {
      changes_++;
      log_info("associations: to node " + name + " now " +
               (way.udp ? in_udp(way.udp) + ", because " + way.reason : "plain " + std::string(kPlain)));
    }
    known_forms_[name] = way.udp;
  }
  std::erase_if(known_forms_, [&](const auto& item) { return !ways_.count(item.first); });
}

void AssociationKeeper::describe(const cluster::AssociationFacts& facts) {
  std::map<std::string, AssociationWay> ways;
  for (const auto& [name, peer] : documents_.peers) ways[name] = way_to(name);
  {
    std::lock_guard lock(mutex_);
    ways_ = std::move(ways);
  }
  tell_changes();
  std::map<std::string, std::string> problems;
  uint64_t sending = 0, in_udp = 0, newest = 0;
  for (const auto& [name, way] : ways_) {
    if (auto problem = problem_of(name, facts); !problem.empty()) problems[name] = std::move(problem);
    if (engine_.sending(name)) sending++;
    if (way.udp) in_udp++;
  }
  for (const auto& id : facts.open) newest = std::max(newest, cluster::epoch_number(id));
  std::string text;
  auto line = [&](const std::string& name, const char* type, const char* help, uint64_t value) {
    text += "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n" + name + " " +
            std::to_string(value) + "\n";
  };
  line("fairlead_agent_ipsec_peers", "gauge", "Nodes that encrypted networks are shared with.",
       documents_.peers.size());
  line("fairlead_agent_ipsec_peers_sending", "gauge", "Those of them that can be sent to.", sending);
  line("fairlead_agent_ipsec_peers_in_udp", "gauge", "Those of them that are sent ESP in UDP.", in_udp);
  line("fairlead_agent_ipsec_form_changes_total", "counter", "Changes between plain ESP and ESP in UDP.", changes_);
  line("fairlead_agent_ipsec_associations_total", "counter", "Security associations put into the kernel.", installed_);
  line("fairlead_agent_ipsec_epoch", "gauge", "Number of the newest epoch this node can use; 0: none.", newest);
  std::lock_guard lock(mutex_);
  problems_ = std::move(problems);
  metrics_ = documents_.ports.empty() ? "" : std::move(text);
}

}  // namespace fairlead::agent
