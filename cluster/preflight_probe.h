// Packets between two nodes that say nothing but a marker, and the sockets that hear them.
//
// Heard is what came past the INPUT rules of the host: raw sockets get their copy behind them, whether or not somebody
// has the port (net/ipv4/ip_input.c, ip_local_deliver_finish). The kernel's own owners of these ports drop the packets:
// to VXLAN they lack the flag of a valid header, to WireGuard they are of no known type, to ESP, in UDP or not, their
// SPI is one of those that are never given (RFC 4303: 1 to 255).
// Needs CAP_NET_RAW. Threads: one. Failure: a packet that cannot be sent counts as one that was not heard.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ip.h"
#include "base/result.h"
#include "cluster/net.h"

namespace fairlead::cluster {

inline constexpr size_t kMarkerBytes = 16;
inline constexpr uint32_t kSmallestMtu = 1280, kLargestMtu = 9216;

class PreflightProbe {
 public:
  // Hears only what comes from peer to own and carries the marker.
  static Result<PreflightProbe> open(const Address& own, const Address& peer, const std::string& marker);

  uint32_t mtu() const { return mtu_; }  // of the link that has the own address
  uint32_t told() const;                 // what the kernel knows of the way to the peer; 0: nothing

  // One packet of ESP, and two for each port: a small one, and one that fills the link. None may be fragmented.
  void send_round(const std::vector<uint16_t>& ports, const std::string& marker);
  // Packets of all sizes the way may be wide, to one port.
  void send_sizes(uint16_t port, const std::string& marker, const StopSignal& stop);

  struct Heard {
    std::map<uint16_t, uint32_t> udp;  // by port, the largest IP packet
    bool esp = false;
    uint32_t largest() const;
  };
  // Hears for so long, or until it is enough.
  void listen(int ms, const StopSignal& stop, const std::function<bool(const Heard&)>& enough);
  const Heard& heard() const { return heard_; }

 private:
  PreflightProbe(const Address& own, const Address& peer, std::string marker)
      : own_(own), peer_(peer), marker_(std::move(marker)) {}
  Result<Fd> open_raw(int protocol) const;
  void drain(const Fd& socket, bool esp);
  void take(const std::string& packet, bool esp);
  void send_udp(uint16_t port, const std::string& marker, uint32_t size);

  Address own_, peer_;
  std::string marker_;
  uint32_t mtu_ = 0;
  Fd udp_, esp_, sender_;
  Heard heard_;
};

// The sizes send_sizes() tries on a link of this MTU, ascending, the MTU itself not among them.
std::vector<uint32_t> sizes_below(uint32_t mtu);

}  // namespace fairlead::cluster
