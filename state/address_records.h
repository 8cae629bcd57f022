// The documents that say which addresses are kept for a name: reservations and sticky addresses. (Blocks of nodes:
// block_record.h.) Decoders are the schema, as in records.h. Sources: docs/state-directory.md, docs/ipam.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/json.h"
#include "base/result.h"
#include "state/paths.h"

namespace fairlead {

// state/reservations/NETWORK/NAME.json. Writer: fairleadctl or the cluster's operator.
struct Reservation {
  std::string network;
  std::string name;                // DNS name of the endpoint, in small letters
  std::vector<Address> addresses;  // one or two, at most one per family
  std::string extra;
};
Result<Reservation> decode_reservation(const Json& json, const std::string& source);
std::string encode(const Reservation& reservation);

// state/sticky/NETWORK/names/NAME.json. Writer: fairlead-ipam and its library. What a name had last on this node.
struct StickyAddresses {
  std::string network;
  std::string name;
  std::vector<Address> addresses;  // as many as the network gives
  uint32_t keep_ms = 0;            // JSON "for": how long after the release they are kept
  uint64_t released = 0;           // seconds since 1970; 0: in use
  std::string extra;
};
Result<StickyAddresses> decode_sticky(const Json& json, const std::string& source);
std::string encode(const StickyAddresses& sticky);

// nullopt when there is none; an Error that names the path and field when it is bad or in another's place.
Result<std::optional<Reservation>> load_reservation(const Paths& paths, const std::string& network,
                                                    const std::string& name);

// A DNS name as reservations and sticky addresses know it: in small letters; empty when it cannot be a file's name.
std::string address_name(std::string_view dns_name);

}  // namespace fairlead
