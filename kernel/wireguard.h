// WireGuard devices: made over rtnetlink, configured over generic netlink. Format: linux/wireguard.h (kernel 6.1).
// Private and preshared keys go in and are never kept from what comes out.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/secret.h"
#include "kernel/netlink.h"

namespace fairlead::kernel {

// Said of a kernel that has none.
inline constexpr const char* kNoWireguard =
    "this kernel has no WireGuard (module wireguard); load it, or choose another encryption. A network is never made "
    "weaker than asked for";

using WireguardKey = std::array<uint8_t, 32>;  // Curve25519; public unless a parameter says otherwise

struct WireguardPeer {
  WireguardKey key{};
  Address endpoint;
  uint16_t port = 0;
  std::vector<Prefix> allowed;  // sorted: sources accepted from it, and destinations that are sent to it
  friend bool operator==(const WireguardPeer&, const WireguardPeer&) = default;
};

// A device as the kernel has it.
struct WireguardDevice {
  uint32_t index = 0;
  WireguardKey key{};  // zeros: has no private key
  uint16_t port = 0;
  std::vector<WireguardPeer> peers;  // without an endpoint when it has none yet
  struct Session {
    uint64_t received = 0, sent = 0;
    int64_t handshake = 0;  // seconds since the epoch; 0: never
  };
  std::vector<Session> sessions;  // as peers
};

// Made down, without a key. ENOTSUP: this kernel has no WireGuard (the module was asked for).
Message add_wireguard(const std::string& name, uint32_t mtu);

class Wireguard {
 public:
  // Opened in the calling thread's network namespace. nullopt: this kernel has no WireGuard (the module was asked for).
  static Result<std::optional<Wireguard>> open();

  // nullopt: no link of that name, or one of another kind.
  Result<std::optional<WireguardDevice>> find(const std::string& name);

  // Requests for run(). Peers that are not named stay.
  // Key and port together; another key than before ends every session.
  Message set_device(const std::string& name, const Secret& private_key, uint16_t port) const;
  // Adds peers, or replaces what is known of them (their sessions go on); as many requests as it takes.
  Batch set_peers(const std::string& name, const std::vector<WireguardPeer>& peers) const;
  Batch remove_peers(const std::string& name, const std::vector<WireguardKey>& keys) const;
  NetlinkSocket& socket() { return *socket_; }

 private:
  Wireguard(std::unique_ptr<NetlinkSocket> socket, uint16_t family) : socket_(std::move(socket)), family_(family) {}
  Message request(uint8_t command, const std::string& name, std::string what) const;

  std::unique_ptr<NetlinkSocket> socket_;
  uint16_t family_;
};

}  // namespace fairlead::kernel
