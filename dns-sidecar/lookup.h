// From a name and an asker to what the snapshot has for it. The order is documented in docs/dns.md; first match wins:
// the local domain, special names, reverse names of local subnets, bare names and NAME.NETWORK of the asker's networks.
#pragma once

#include "dns-sidecar/wire.h"
#include "dns-sidecar/zone.h"

namespace fairlead::dns {

enum class Found {
  kName,        // node
  kAddress,     // address: answers PTR
  kNameServer,  // ns.fairlead.internal: zone's gateway
  kApex,        // fairlead.internal itself
  kLocalhost,
  kNoData,   // the name exists without records
  kNoName,   // NXDOMAIN
  kForeign,  // not ours: for the resolvers, if the asker may use them
};

struct Lookup {
  Found found = Found::kForeign;
  const NameNode* node = nullptr;
  const AddressNode* address = nullptr;
  const Zone* zone = nullptr;
  // The first label of the owner of an SOA in a negative answer; `labels` of the name stands for the root.
  unsigned soa_label = 0;
};

// asker.networks must not be empty.
Lookup look_up(const Snapshot& snapshot, const AddressNode& asker, const Name& name);

// The name an address has in its zone now; nullptr when all its candidates are taken by somebody else.
const NameNode* current_name(const Zone& zone, const AddressNode& address);

}  // namespace fairlead::dns
