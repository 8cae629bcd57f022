#include "cluster/epoch_plan.h"

#include <algorithm>

namespace fairlead::cluster {
namespace {

// Managers' clocks agree within an hour, or they could not have joined.
constexpr int64_t kClockTolerance = 3600;

const SealingNode* find_node(const EpochFacts& facts, const std::string& name) {
  auto found = std::find_if(facts.nodes.begin(), facts.nodes.end(), [&](const auto& n) { return n.name == name; });
  return found == facts.nodes.end() ? nullptr : &*found;
}

// It was sealed to a node that is gone, or whose name another one has now.
bool is_orphan(const EpochFacts& facts, const std::string& node, const SealedCopy& copy) {
  if (!facts.members.count(node)) return true;
  const SealingNode* now = find_node(facts, node);
  return now && copy.number != now->number;
}

std::string reason_for_new(const EpochFacts& facts) {
  if (facts.nodes.empty()) return "";
  if (facts.list.epochs.empty()) return "there is none yet";
  const Epoch& newest = facts.list.epochs.front();
  if (newest.created + facts.list.interval <= facts.now) return "the newest is as old as an epoch may be";
  if (newest.created > facts.now + kClockTolerance) return "the newest is from the future";
  for (const auto& [where, copy] : facts.copies)
    if (where.second == newest.id && is_orphan(facts, where.first, copy)) return where.first + " is no longer a member";
  if (facts.lost) return "nobody could open the newest";
  return "";
}

}  // namespace

EpochPlan plan_epochs(const EpochFacts& facts) {
  EpochPlan plan;
  plan.make = reason_for_new(facts);
  std::set<std::string> listed;
  for (const auto& epoch : facts.list.epochs) listed.insert(epoch.id);
  for (const auto& [where, copy] : facts.copies) {
    if (!listed.count(where.second))
      plan.strange.push_back(where);
    else if (plan.make.empty() && is_orphan(facts, where.first, copy))
      plan.remove.push_back(where);  // after the new epoch: until then it says that one is due
  }
  if (!plan.make.empty()) return plan;
  for (const auto& epoch : facts.list.epochs) {
    if (!facts.can_open.count(epoch.id)) continue;
    for (const auto& node : facts.nodes) {
      auto copy = facts.copies.find({node.name, epoch.id});
      if (copy == facts.copies.end() || copy->second.key != node.key || copy->second.number != node.number)
        plan.seal.emplace_back(node.name, epoch.id);
    }
  }
  std::erase_if(plan.remove, [&](const auto& where) {
    return std::find(plan.seal.begin(), plan.seal.end(), where) != plan.seal.end();
  });
  return plan;
}

EpochList with_epoch(EpochList list, Epoch epoch) {
  list.epochs.insert(list.epochs.begin(), std::move(epoch));
  if (list.epochs.size() > EpochList::kMax) list.epochs.resize(EpochList::kMax);
  return list;
}

}  // namespace fairlead::cluster
