#include "agent/rules.h"

namespace fairlead::agent {
namespace {

// FNV-1a. Against accidents, not against root.
std::string hash_of(const std::string& text) {
  uint64_t h = 14695981039346656037ull;
  for (unsigned char c : text) h = (h ^ c) * 1099511628211ull;
  char hex[17];
  snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(h));
  return hex;
}

}  // namespace

Result<RulesOutcome> ensure_rules(kernel::NftSession& nft, const std::string& table, const std::string& text,
                                  RulesMark& mark) {
  const std::string wanted = hash_of(text);
  bool changed_text = mark.text != wanted, missing = true;
  if (!mark.text.empty()) {
    FL_TRY(auto listing, nft.list_table("inet", table));
    missing = listing.empty();
    if (!changed_text && !missing && hash_of(listing) == mark.listing) return RulesOutcome::kUnchanged;
  }
  const bool first = mark.text.empty();
  if (auto applied = nft.run(text); !applied) return fail(applied.error().with("table inet " + table));
  FL_TRY(auto listing, nft.list_table("inet", table));
  mark = {wanted, hash_of(listing)};
  if (first) return RulesOutcome::kMade;
  return changed_text && !missing ? RulesOutcome::kChangedText : RulesOutcome::kRepaired;
}

}  // namespace fairlead::agent
