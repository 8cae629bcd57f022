// What the sidecar knows, as one immutable snapshot: per network its names and its addresses, answers already encoded.
//
// Names stand relative to their network, lower case, in wire format ("web", "tasks.web", "_80._tcp.web"); a network is
// a slot number that stays the same while the process runs. Threads: a snapshot never changes; workers hold it by
// shared_ptr and look for a newer one once per batch.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/ip.h"
#include "dns-sidecar/subnet_index.h"
#include "dns-sidecar/table.h"

namespace fairlead::dns {

inline constexpr uint32_t kTtl = 5;          // of positive local answers: a change is seen by caches within 5 s
inline constexpr uint32_t kNegativeTtl = 5;  // SOA TTL and MINIMUM (RFC 2308 section 5)

inline constexpr std::string_view kDomainText = "fairlead.internal";
inline constexpr std::string_view kDomainWire{
    "\x08"
    "fairlead"
    "\x08"
    "internal",
    18};
inline constexpr unsigned kDomainLabels = 2;

// Who wins when several claim one name: the lowest rank that is present; claims of one rank are united.
enum class Rank : uint8_t {
  kService,    // a service's own name
  kGenerated,  // tasks.SERVICE, all.SERVICE, _PORT._PROTOCOL.SERVICE
  kSlot,       // SERVICE.SLOT
  kName,       // container names and aliases
  kId,         // container id, whole or the first 12 digits
};

// An encoded record whose owner is the question's name, and what belongs into the additional section with it.
struct SrvRecord {
  std::string record;
  std::string additional;
  uint16_t additional_count = 0;
  friend bool operator==(const SrvRecord&, const SrvRecord&) = default;
};

inline constexpr size_t kARecordBytes = 16, kAaaaRecordBytes = 28;

struct NameNode {
  uint64_t hash = 0;
  std::string key;
  Rank rank = Rank::kId;
  bool empty = true;    // no claim of its own, only names below it (RFC 4592 section 2.2.2)
  std::string a, aaaa;  // encoded records of kARecordBytes and kAaaaRecordBytes, owner compressed to the question
  std::vector<SrvRecord> srv;
};

// A name an address may be called by; it counts only while that rank still wins the name.
struct Candidate {
  std::string name;
  Rank rank;
  friend bool operator==(const Candidate&, const Candidate&) = default;
};

struct AddressNode {
  uint64_t hash = 0;
  std::string key;                 // 4 or 16 bytes
  std::vector<uint32_t> networks;  // of the container behind it, this network first; empty: not a container's address
  std::vector<Candidate> names;    // best first
};

struct Zone {
  uint32_t slot = 0;
  std::string name;
  std::string suffix;  // the network's name as labels; empty when it is not a DNS name
  unsigned suffix_labels = 0;
  bool internal = false;
  bool forward_single_labels = true;
  Address gateway4, gateway6;
  Table<NameNode> names;
  Table<AddressNode> addresses;
};

struct Snapshot {
  uint64_t version = 0;
  std::vector<std::shared_ptr<const Zone>> zones;  // by slot; null: no such network (any more)
  // Of every network on this node.
  std::shared_ptr<const SubnetIndex> subnets = std::make_shared<SubnetIndex>();
  std::string soa;  // type, class, TTL, RDLENGTH and RDATA of the SOA record

  const Zone* zone(uint32_t slot) const { return slot < zones.size() ? zones[slot].get() : nullptr; }
};

// Records with the owner 0xc00c (the question's name).
void append_address_record(std::string& out, const Address& address);
std::string encode_ptr_target(std::string_view relative, const Zone& zone);  // RDATA
// "NAME.NETWORK.fairlead.internal" uncompressed with its zero byte; empty when it is longer than a name may be.
std::string full_name(std::string_view relative, std::string_view suffix);
SrvRecord make_srv(uint16_t weight, uint16_t port, std::string_view target_full_name,
                   const std::vector<Address>& addresses);
std::string encode_soa(uint32_t serial);

}  // namespace fairlead::dns
