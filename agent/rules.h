// One nftables table of ours kept equal to a text.
//
// nft's listing of a table is not the text that made it, so after applying it the listing's hash is remembered; a
// table is as it should be when the text is the one that was applied last and the listing has not changed since.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "kernel/nft.h"

namespace fairlead::agent {

struct RulesMark {
  std::string text, listing;  // hashes in hex; empty: nothing was applied yet
  friend bool operator==(const RulesMark&, const RulesMark&) = default;
};

enum class RulesOutcome { kUnchanged, kMade, kChangedText, kRepaired };

// text replaces the table as a whole in one transaction. On failure the old table is in force.
Result<RulesOutcome> ensure_rules(kernel::NftSession& nft, const std::string& table, const std::string& text,
                                  RulesMark& mark);

}  // namespace fairlead::agent
