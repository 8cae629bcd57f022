// The IPAM plugin as a library: what `fairlead-ipam` does, callable in-process by the CNI plugin.
//
// A lease is one file run/leases/NETWORK/ADDRESS, made by link(2): of two that want an address one gets it. See lease.h
// for the protocol that survives kill -9 anywhere. No lock is taken by ADD (but once after reservations changed), no
// folder is listed unless the pool looks full, nothing is synced. Threads: stateless.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/cni.h"
#include "base/cni_config.h"
#include "ipam/pool.h"
#include "state/paths.h"
#include "state/records.h"

namespace fairlead::ipam {

// What GC leaves alone however dead it looks: it may have been made while the runtime wrote its list.
inline constexpr int64_t kGraceMs = 3000;

// ---- for CNI plugins: the request as it came; the same answers as running fairlead-ipam. ----
// `network` saves reading state/networks/NET.json again; without it it is read when the configuration has no ranges.

// The abbreviated result: addresses with the subnet's prefix length, gateways, routes; no interfaces.
// Nothing is left behind when it fails, and an attachment that has addresses already is refused and keeps them.
// names: what the endpoint is called, for reservations and sticky addresses, given by the plugin `fairlead` in its
// process (Owner::by_fairlead in lease.h); nullptr: what the request says of it.
cni::CniResult<cni::AddResult> add(const Paths& paths, const cni::Request& request, const Network* network = nullptr,
                                   const std::vector<std::string>* names = nullptr);
// Releases what (container, ifname) has; success when it has nothing. Needs no network document.
cni::CniResult<void> del(const Paths& paths, const cni::Request& request);
cni::CniResult<void> check(const Paths& paths, const cni::Request& request);
// Releases what cni.dev/valid-attachments does not name and whose namespace is provably gone; nothing when the key is
// absent. For other main plugins: what `fairlead` asked for is left to its own GC (docs/decisions/0017).
cni::CniResult<void> gc(const Paths& paths, const cni::Request& request);
// kNotAvailable when a pool is exhausted or the lease folder cannot be used.
cni::CniResult<void> status(const Paths& paths, const cni::Request& request, const Network* network = nullptr);

// ---- typed, for everybody else (Docker plugin, agent, ctl) ----
struct IpamRequest {
  std::string network;             // names the lease folder
  std::string container, ifname;   // the owner
  std::string netns;               // written down for collecting
  bool by_fairlead = false;        // Owner::by_fairlead
  std::vector<RangeSet> sets;      // one address of each
  std::vector<Address> wanted;     // each takes the place of its set's choice; all of them or an error
  std::vector<std::string> names;  // DNS names of the endpoint, for reservations and sticky addresses
  std::string node;                // when sets were cut down to blocks: this node, for messages
  std::string blocks;              // blocks_state() when they were (ipam/blocks.h); empty: it does not matter
  bool sticky = false;             // keep the addresses for the first name that can be kept for
  uint32_t sticky_ms = 0;          // so long after the release
};
struct Granted {
  Prefix address;  // with the subnet's length
  std::optional<Address> gateway;
};
// Error: kTryAgainLater when a pool is exhausted, kInvalidConfig for a wanted address that can never be had,
// kAddressInUse for one that somebody else has, or has reserved.
cni::CniResult<std::vector<Granted>> allocate(const Paths& paths, const IpamRequest& request);
Result<void> release(const Paths& paths, const std::string& network, const std::string& container,
                     const std::string& ifname);
// The addresses (container, ifname) has; empty: none.
Result<std::vector<Address>> leases_of(const Paths& paths, const std::string& network, const std::string& container,
                                       const std::string& ifname);
// Every lease of a network with its owner, for listings; costs one read per lease.
struct Lease {
  Address address;
  cni::Attachment owner;
  std::string netns;
};
Result<std::vector<Lease>> list_leases(const Paths& paths, const std::string& network);

// One range set per family of the network: its subnet without network, broadcast, gateway and VIP pool.
std::vector<RangeSet> range_sets(const Network& network);

}  // namespace fairlead::ipam
