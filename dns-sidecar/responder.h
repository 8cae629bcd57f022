// What UDP and TCP have in common: a query in, an answer out or a request for the forwarder.
// Threads: one (its worker's).
#pragma once

#include <memory>
#include <vector>

#include "dns-sidecar/engine.h"
#include "dns-sidecar/forward.h"
#include "dns-sidecar/mailbox.h"
#include "dns-sidecar/snapshot_cell.h"
#include "dns-sidecar/stats.h"

namespace fairlead::dns {

class Responder {
 public:
  Responder(uint32_t worker, const SnapshotCell& cell, Mailbox<ForwardRequest>& forwarder, uint64_t seed)
      : worker_(worker), cell_(cell), forwarder_(forwarder), spread_(seed), snapshot_(cell.get()) {}

  // Once per batch.
  void refresh() {
    if (cell_.version() != snapshot_->version) snapshot_ = cell_.get();
  }
  struct Channel {
    uint32_t network = 0;  // slot
    bool tcp = false;
    uint64_t number = 0;  // listener or connection
  };
  // The size of the answer in out; 0 when there is none now. *forwarded: one will come later.
  size_t respond(const Channel& channel, const Peer& peer, const uint8_t* data, size_t size, uint8_t* out,
                 size_t capacity, bool* forwarded);
  // Hands on what is to be forwarded; requests the forwarder has no room for are returned for an answer now.
  const std::vector<ForwardRequest>& flush();
  WorkerStats& stats() { return stats_; }

 private:
  uint32_t worker_;
  const SnapshotCell& cell_;
  Mailbox<ForwardRequest>& forwarder_;
  Spread spread_;
  std::shared_ptr<const Snapshot> snapshot_;
  std::vector<ForwardRequest> batch_, refused_;
  WorkerStats stats_;
};

// The address of a peer as bytes; empty for families that are not ours.
std::string_view peer_bytes(const Peer& peer);

}  // namespace fairlead::dns
