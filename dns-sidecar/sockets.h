// The sockets a gateway address is served on, made inside a router's namespace and usable from anywhere after.
// Threads: opening enters the namespace with the calling thread only.
#pragma once

#include "base/fd.h"
#include "base/ip.h"
#include "base/result.h"

namespace fairlead::dns {

inline constexpr uint16_t kDnsPort = 53;

struct ListenerSockets {
  Fd udp, tcp;
};

// In the calling thread's namespace. The address need not exist yet (IP_FREEBIND), the family must. Several sockets may
// have one address: the kernel spreads the clients over them (SO_REUSEPORT), one for each worker.
Result<ListenerSockets> open_listener(const Address& address, uint16_t port);

}  // namespace fairlead::dns
