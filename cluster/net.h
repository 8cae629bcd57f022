// Sockets of the control plane: where a manager listens, connecting with a deadline, and the signal that ends waiting.
// Threads: StopSignal may be used by all; the functions are stateless.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/ip.h"
#include "base/result.h"

namespace fairlead::cluster {

inline constexpr uint16_t kDefaultPort = 7310;  // of a manager's front; etcd's peers use the next one

struct HostPort {
  Address address;
  uint16_t port = kDefaultPort;
};
// "192.0.2.1", "192.0.2.1:7310", "2001:db8::1", "[2001:db8::1]:7310". No names: who is reached must not depend on DNS.
Result<HostPort> parse_host_port(std::string_view text);
std::string to_text(const HostPort& where);

// Once set it stays set; everything that waits on it ends with an Error whose sys is ECANCELED.
class StopSignal {
 public:
  StopSignal();
  void set() const;
  bool is_set() const;
  int fd() const { return fd_.get(); }
  // Sleeps; false when the signal was set meanwhile.
  bool sleep_ms(int ms) const;

 private:
  Fd fd_;
};

// A deadline on the steady clock.
int64_t now_ms();
int64_t wall_seconds();  // since 1970

// Until fd is ready for events (POLLIN, POLLOUT). Errors: ETIMEDOUT, ECANCELED.
Result<void> wait_ready(int fd, short events, int64_t deadline_ms, const StopSignal& stop);

Result<Fd> listen_on(const HostPort& where);         // only one process can
Result<Fd> listen_on_path(const std::string& path);  // a Unix socket, mode 0600; what was there is replaced
// from: the own address to do it with; none: whichever leads there.
Result<Fd> connect_to(const HostPort& where, int timeout_ms, const StopSignal& stop, const Address& from = {});
Result<Fd> connect_to_path(const std::string& path);
// Waits for a connection and takes it; peer is its address as text (empty for Unix sockets).
Result<Fd> accept_from(const Fd& listener, std::string& peer, const StopSignal& stop);

}  // namespace fairlead::cluster
