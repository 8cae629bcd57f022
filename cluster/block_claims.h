// The managers' side of address blocks: which node has which part of a network's subnets. Every change is one
// transaction that compares that no blocks of the network, nor the network, nor the claimant's membership changed since
// they were read: two nodes never get one address, whichever managers they ask.
//
//   blocks/NETWORK/NODE            what a member has (state/block_record.h)
//   departed/NETWORK/NODE-NUMBER   what a former member had, for as long as it may still be using it
//
// Threads: may be used by all threads at once. Failure: nothing is changed; EAGAIN when others were always faster.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "cluster/etcd_client.h"
#include "cluster/feed.h"
#include "cluster/pki.h"
#include "cluster/roll_call.h"
#include "state/block_record.h"

namespace fairlead::cluster {

class BlockClaims {
 public:
  BlockClaims(const EtcdClient& etcd, const Feed& feed, const RollCall& calls)
      : etcd_(etcd), feed_(feed), calls_(calls) {}

  // {"network", "held":[PREFIX…], "give":[PREFIX…], "need":[4,6], "urgent":[4,6]}: the node uses addresses of `held`
  // and gives `give` back; it needs a block of the families. Answers {"revision", "granted":[PREFIX…],
  // "refused":[{"block","node"}…]} and, while the roll is called (cluster/roll_call.h) and therefore nothing is
  // granted, "waiting":[NODE…], "restored". refused: held by the node, but in the store another's.
  Result<Json> claim(const Identity& who, const Json& request);

  // Now and then: what members had that are no longer any is set apart, and given free when for the whole grace time
  // neither the former member nor its lease was there, and no endpoint has an address in it.
  Result<void> tend(int64_t now_ms, int64_t grace_ms);

 private:
  struct Space;
  Result<Space> read(const Identity& who, const std::string& network) const;
  Result<bool> claim_once(const Identity& who, const Json& request, Json& answer);
  bool somebody_waits(const Space& space, int family) const;
  Result<void> end_disputes(const std::string& key) const;
  Result<void> set_apart(const std::string& key, const NodeBlocks& blocks) const;
  Result<void> set_free(const std::string& key, const NodeBlocks& blocks) const;
  bool may_be_used(const NodeBlocks& blocks, const Feed::Documents& documents) const;

  const EtcdClient& etcd_;
  const Feed& feed_;
  const RollCall& calls_;
  std::mutex claims_;                           // of two at once here the second would only have to try again
  std::mutex tending_;                          // quiet_since_
  std::map<std::string, int64_t> quiet_since_;  // departed documents by key, on the steady clock of this manager
};

}  // namespace fairlead::cluster
