// Which block of a subnet a node gets, and which part of its blocks it can give back. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/ip.h"
#include "state/block_record.h"
#include "state/records.h"

namespace fairlead::cluster {

// Addresses of a subnet that no container gets whoever has the block: network, gateway, broadcast (IPv4).
std::vector<Address> never_given(const Prefix& subnet);

// The first free block of the network's length; when there is none, the largest part that is free, an address at
// least. taken: what is somebody's; the VIP pool is nobody's either. nullopt: nothing is left that could be given.
std::optional<Prefix> choose_block(const Network& network, const Prefix& subnet, const std::vector<Prefix>& taken);

// The block of the network's length around an address, when it is free as a whole, else the largest part of it around
// the address that is. nullopt: the address is taken, or no container's.
std::optional<Prefix> block_around(const Network& network, const Address& address, const std::vector<Prefix>& taken);

// What is left of the blocks without hole.
std::vector<Prefix> without(const std::vector<Prefix>& blocks, const Prefix& hole);
// Neighbours that are one block of the network's length together become that block.
std::vector<Prefix> joined(const Network& network, std::vector<Prefix> blocks);
// Whether the blocks together hold all of the prefix.
bool covers(const std::vector<Prefix>& blocks, const Prefix& prefix);

// The largest part of the blocks of subnet's family that holds none of the used addresses, has at most `most` addresses
// and at least one that can be given; of two as large the one in the later block.
std::optional<Prefix> unused_part(const std::vector<Prefix>& blocks, const Prefix& subnet,
                                  const std::vector<Address>& used, int64_t most);

}  // namespace fairlead::cluster
