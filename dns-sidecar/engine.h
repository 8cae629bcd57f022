// One query in, one decision out: an answer, "ask the resolvers", or silence. Pure: no sockets, no clock, no
// allocation. Scope: the source address alone says which container asks, and with that which networks' names it may
// see. Threads: stateless; the snapshot may be shared, the random state not.
#pragma once

#include <cstdint>
#include <string_view>

#include "dns-sidecar/wire.h"
#include "dns-sidecar/zone.h"

namespace fairlead::dns {

// xorshift64*: spreads the load over addresses; nothing here needs to be unpredictable.
class Spread {
 public:
  explicit Spread(uint64_t seed) : state_(seed | 1) {}
  uint32_t below(uint32_t n) {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    uint64_t r = (state_ * 0x2545f4914f6cdd1dull) >> 32;
    return static_cast<uint32_t>(r * n >> 32);
  }

 private:
  uint64_t state_;
};

enum class Verdict { kDrop, kAnswer, kForward };

struct Asked {
  uint32_t network = 0;     // slot of the network whose gateway was asked
  std::string_view source;  // the asker's address, 4 or 16 bytes
  bool tcp = false;
};

struct Decision {
  Verdict verdict = Verdict::kDrop;
  size_t size = 0;  // of the answer
  Rcode rcode = kNoError;
  uint32_t forward_network = 0;  // kForward: the slot whose resolvers are to be asked
};

// query is filled whenever the verdict is not kDrop for being unreadable; for kForward it is complete.
// out has room for capacity bytes (at least kPlainUdpBytes); over UDP the answer also keeps to what the sender takes.
Decision decide(const Snapshot& snapshot, const Asked& asked, const uint8_t* data, size_t size, Query& query,
                uint8_t* out, size_t capacity, Spread& spread);

// Header and question of the query with this rcode and an OPT if the query had one: for SERVFAIL and REFUSED later on.
size_t write_failure(const Query& query, Rcode rcode, uint8_t* out);

}  // namespace fairlead::dns
