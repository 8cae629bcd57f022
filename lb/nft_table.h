// The table inet fairlead_lb of one namespace as a value, and the transaction that leads from one value to the next.
// Pure: text of nft's language out, made from validated values only.
//
// How a new connection goes in a router with the nft balancer: service4/6 (address . protocol . port → goto chain) →
// the frontend's chain picks a slot (numgen counts connections, jhash hashes the client) → dnat. Established
// connections never come here (conntrack). A frontend without usable backends is in refused4/6: input answers reset or
// port unreachable at once.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "lb/model.h"

namespace fairlead::lb {

struct NftTable {
  std::map<std::string, std::vector<std::string>> base;    // base and static chains: name → definition, rules
  std::map<std::string, std::vector<std::string>> chains;  // frontends' chains: name → rules
  std::map<std::string, std::string> affinity;             // dynamic maps: name → type of their key
  // Sets and maps whose contents are ours alone: name → "set" or "map" with its type; name → elements. A map's element
  // is "key : value".
  std::map<std::string, std::string> sets;
  std::map<std::string, std::set<std::string>> elements;
  friend bool operator==(const NftTable&, const NftTable&) = default;
};

// "" when the nft balancer can do what the frontend asks for, otherwise what is wrong and what to do.
std::string nft_problem(const Frontend& frontend);

// slots: for frontends whose scheduler looks at load (lc, wlc): the coming picks as indexes into the frontend's
// backends. Where it has none, an idle service is assumed.
using LoadSlots = std::map<FrontendKey, std::vector<uint32_t>>;
NftTable nft_table(const RouterPlan& plan, const LoadSlots& slots = {});
// What the ipvs balancer needs in nftables: hairpin only.
NftTable nft_hairpin_table(const RouterPlan& plan);
// The host's: published ports, for packets that arrive and for those of local processes.
NftTable nft_host_table(const HostPlan& plan);

bool follows_load(const std::string& scheduler);  // lc, wlc

// What is in the kernel beyond `from`, by name (of a table somebody else or an earlier process
// made); all of it goes unless `to` has it.
struct NftLeftovers {
  std::vector<std::string> chains, sets, maps;
};
// The text of the transaction; empty when there is nothing to do. from == nullptr: the contents of the table are
// unknown; everything is written, entries of dynamic maps (clients' affinity) are kept.
std::string nft_transaction(const NftTable* from, const NftTable& to, const NftLeftovers& leftovers = {});
// The same for a table whose shape is not ours at all: it is deleted and made anew in one transaction.
std::string nft_replacement(const NftTable& to);

}  // namespace fairlead::lb
