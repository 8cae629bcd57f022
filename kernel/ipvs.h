// IPVS of one network namespace over generic netlink. Format: linux/ip_vs.h (kernel 6.1; the header lacks nothing we
// need). The kernel checks little: protocols, ports and weights must be valid when they come here.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "kernel/netlink.h"

namespace fairlead::kernel {

inline constexpr uint32_t kIpvsPersistent = 0x1;  // IP_VS_SVC_F_PERSISTENT
inline constexpr uint32_t kIpvsFallback = 0x8;    // IP_VS_SVC_F_SCHED1: sh and mh pass over destinations of weight 0

struct IpvsService {
  Address address;
  uint8_t protocol = 0;
  uint16_t port = 0;
  std::string scheduler;
  uint32_t flags = 0;            // of the ones above; others the kernel sets itself are left out
  uint32_t timeout_seconds = 0;  // of persistence
  std::string to_string() const;
  friend bool operator==(const IpvsService&, const IpvsService&) = default;
};

struct IpvsDestination {
  Address address;
  uint16_t port = 0;
  uint32_t weight = 0;
  uint32_t active = 0, inactive = 0;  // connections; filled by the kernel only
};

class Ipvs {
 public:
  // Opened in the calling thread's network namespace. nullopt: this kernel has no IPVS (the module was asked for).
  static Result<std::optional<Ipvs>> open();

  // Services with an address; those by firewall mark are left out.
  Result<std::vector<IpvsService>> services();
  Result<std::vector<IpvsDestination>> destinations(const IpvsService& service);

  // Requests for run_each(); nothing is tolerated.
  Message add(const IpvsService& service) const;
  Message set(const IpvsService& service) const;  // in place: destinations and connections stay
  Message remove(const IpvsService& service) const;
  Message add(const IpvsService& service, const IpvsDestination& destination) const;
  Message set(const IpvsService& service, const IpvsDestination& destination) const;
  Message remove(const IpvsService& service, const IpvsDestination& destination) const;
  Message set_timeouts(uint32_t tcp_seconds, uint32_t tcp_fin_seconds, uint32_t udp_seconds) const;
  NetlinkSocket& socket() { return *socket_; }

 private:
  Ipvs(std::unique_ptr<NetlinkSocket> socket, uint16_t family) : socket_(std::move(socket)), family_(family) {}
  Message request(uint8_t command, std::string what) const;

  std::unique_ptr<NetlinkSocket> socket_;
  uint16_t family_;
};

}  // namespace fairlead::kernel
