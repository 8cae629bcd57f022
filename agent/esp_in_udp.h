// The UDP socket by which this host's kernel takes ESP in UDP (RFC 3948).
//
// What arrives there goes to IPsec within the kernel; no program reads it. But the kernel needs a process that has the
// socket open, and traffic must not end with the agent: so a process of its own holds it (`fairlead-agent hold`), which
// does nothing else. run/esp-in-udp.json says which socket it holds; it has that file locked, and it ends when the file
// is removed. So whoever dies, the next one knows: a file that is not locked is nobody's.
// decision 42 says why not a socket of the kernel's own (FOU). Threads: one; runs in the host's namespace.
#pragma once

#include <cstdint>

#include "base/ip.h"
#include "base/result.h"
#include "state/paths.h"
#include "state/vxlan_port.h"

namespace fairlead::agent {

// Makes it so that exactly this socket is held; without an address or with port 0: none. An Error: it is not, for the
// reason told; to be tried again. Cost when nothing changed: one small file is read.
Result<void> hold_esp_in_udp(const Paths& paths, const Address& address, uint16_t port);

// The holding process: descriptor 3 is the locked file, 4 the socket. Returns when the file is removed.
int run_esp_in_udp_holder();

}  // namespace fairlead::agent
