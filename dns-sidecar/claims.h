// Which names a record of the state directory claims: the naming rules of docs/dns.md in one place. Pure.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "dns-sidecar/zone.h"
#include "state/records.h"

namespace fairlead::dns {

using Addresses = std::shared_ptr<const std::vector<Address>>;

struct Claim {
  std::string name;  // relative, wire format
  Rank rank = Rank::kId;
  Addresses addresses;
  std::vector<SrvRecord> srv;
};

// Names, aliases, SERVICE.SLOT, ids. Addresses that cannot be a container's (loopback, link-local, multicast) are left
// out.
std::vector<Claim> claims_of(const Endpoint& endpoint);
// Best first, for PTR and SRV: what only this container is called.
std::vector<Candidate> candidates_of(const Endpoint& endpoint);

struct Task {
  std::shared_ptr<const Endpoint> endpoint;
  bool healthy = true;
};
// SERVICE, tasks.SERVICE, all.SERVICE, _PORT._PROTOCOL.SERVICE. record may be null: endpoints name a service nobody has
// described, and it is answered as endpointMode dnsrr. suffix: the network's name as labels.
std::vector<Claim> claims_of(const std::string& service, const Service* record, const std::vector<Task>& tasks,
                             const std::string& suffix);

}  // namespace fairlead::dns
