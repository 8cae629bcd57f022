// Secret bytes that live long: a node's private key, an epoch's secret. In memory of their own from libsodium: locked
// (never in swap, where the limit allows), left out of core dumps, between guard pages, zeroed at the end. Never copied
// and never printed. What lives for one function: base/secret.h.
// Threads: as a plain buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/result.h"

namespace fairlead::cluster {

class LockedBytes {
 public:
  // That many zero bytes.
  static Result<LockedBytes> make(size_t size);

  uint8_t* data() { return bytes_.get(); }
  const uint8_t* data() const { return bytes_.get(); }
  size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(uint8_t* bytes) const;
  };
  LockedBytes(uint8_t* bytes, size_t size) : bytes_(bytes), size_(size) {}
  std::unique_ptr<uint8_t[], Free> bytes_;
  size_t size_ = 0;
};

}  // namespace fairlead::cluster
