#include "cluster/locked_bytes.h"

#include <sodium.h>

#include <cerrno>
#include <cstring>

namespace fairlead::cluster {

Result<LockedBytes> LockedBytes::make(size_t size) {
  if (sodium_init() < 0) return fail("libsodium cannot be used on this machine");
  auto* bytes = static_cast<uint8_t*>(sodium_malloc(size));
  if (!bytes) return fail("no memory for a key", ENOMEM);
  memset(bytes, 0, size);
  return LockedBytes(bytes, size);
}

void LockedBytes::Free::operator()(uint8_t* bytes) const { sodium_free(bytes); }

}  // namespace fairlead::cluster
