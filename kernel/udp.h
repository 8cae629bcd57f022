// Ordinary UDP sockets of this network namespace.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/fd.h"
#include "base/ip.h"
#include "base/result.h"

namespace fairlead::kernel {

// Bound to this address and port (0: any), for its family only; non-blocking, not inherited.
Result<Fd> open_udp(const Address& address, uint16_t port);
Result<void> send_udp(const Fd& socket, const Address& to, uint16_t port, std::string_view payload);

}  // namespace fairlead::kernel
