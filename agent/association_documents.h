// What the state directory says about keys and about who needs associations, read for agent/associations.h. Threads:
// stateless; bad documents are left out and named.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/esp_in_udp.h"
#include "base/ip.h"
#include "base/result.h"
#include "cluster/associations.h"
#include "cluster/key_documents.h"
#include "cluster/locked_bytes.h"
#include "state/paths.h"

namespace fairlead::agent {

// When an association is replaced: soft limits; the kernel ends it a quarter later. state/node.json "keyPackets" and
// "keyMegabytes".
struct KeyLimits {
  uint64_t packets = uint64_t{1} << 32, bytes = uint64_t{1} << 42;
};

struct AssociationPeer {
  Address address;
  std::string seal_key;  // raw; empty: it has told none
};
struct AssociationDocuments {
  std::vector<uint16_t> ports;  // UDP, of the networks with ipsec; empty: nobody needs anything
  std::string self;
  Address address;                               // this node's; none: it is alone
  std::map<std::string, AssociationPeer> peers;  // of the same family
  KeyLimits limits;
  // state/node.json "ipsecEncapsulation", "ipsecUdpPort".
  cluster::Encapsulation encapsulation = cluster::Encapsulation::kAuto;
  uint16_t udp_port = kEspInUdpPort;
  cluster::EpochList epochs;
  std::map<std::string, cluster::SealedCopy> copies;         // by epoch
  std::map<std::string, cluster::AssociationDocument> told;  // by node
  std::vector<std::string> problems;
};
Result<AssociationDocuments> read_association_documents(const Paths& paths);

// What this node has written down itself, by peer.
std::map<std::string, cluster::AssociationDocument> read_own_associations(const Paths& paths, const std::string& self);
// Writes those that differ, removes the files of peers that are not among them. written: as far as known, kept.
Result<void> write_own_associations(const Paths& paths,
                                    const std::map<std::string, cluster::AssociationDocument>& documents,
                                    std::map<std::string, cluster::AssociationDocument>& written);

}  // namespace fairlead::agent
