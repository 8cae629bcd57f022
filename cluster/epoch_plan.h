// What a manager has to do about epochs, decided from what the store says. Pure; any number of managers may decide at
// once (cluster/epoch_keeper.h makes it safe).
//
// A new epoch is due when there is none, when the newest is older than the interval, when a node it was sealed to is no
// longer a member (it must not be able to read what comes), and when nobody can open the newest any more.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cluster/key_documents.h"

namespace fairlead::cluster {

struct SealingNode {
  std::string name;
  uint32_t number = 0;
  std::string key;  // fingerprint of its seal key
};
struct EpochFacts {
  int64_t now = 0;  // seconds since 1970
  EpochList list;
  std::vector<SealingNode> nodes;                                    // members that have announced a seal key
  std::set<std::string> members;                                     // names of all nodes
  std::map<std::pair<std::string, std::string>, SealedCopy> copies;  // (node, epoch)
  std::set<std::string> can_open;                                    // epochs whose secret this manager can open
  bool lost = false;  // for some time nobody has given this manager a copy of the newest that it can open
};

struct EpochPlan {
  std::string make;                                          // why a new epoch is due; empty: none
  std::vector<std::pair<std::string, std::string>> seal;     // (node, epoch): copies that are missing
  std::vector<std::pair<std::string, std::string>> remove;   // copies nobody is to have, of epochs that are listed
  std::vector<std::pair<std::string, std::string>> strange;  // copies of epochs that are not listed: left over, or just
                                                             // being made by another manager
};
EpochPlan plan_epochs(const EpochFacts& facts);

// The list with a new epoch in front; what falls out at the end is gone.
EpochList with_epoch(EpochList list, Epoch epoch);

}  // namespace fairlead::cluster
