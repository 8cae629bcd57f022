#include "lb/claim_book.h"

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"

namespace fairlead::lb {
namespace {

constexpr size_t kMaxClaims = 1 << 20;
constexpr size_t kMaxBytes = 64 << 20;

std::string path_of(const Paths& paths) { return paths.run + "/lb-claims.json"; }

}  // namespace

Result<Incumbents> load_claims(const Paths& paths) {
  const std::string path = path_of(paths);
  FL_TRY(auto text, read_file(path, kMaxBytes));
  Incumbents claims;
  if (!text) return claims;
  FL_TRY(Json json, parse_json(*text, path, {kMaxBytes, 8}));
  ObjectReader r(json, path);
  std::vector<std::pair<std::string, std::string>> list;
  r.optional("claims", list, kMaxClaims);
  FL_CHECK(r.finish());
  for (auto& [what, owner] : list) claims[what] = std::move(owner);
  return claims;
}

Result<void> save_claims(const Paths& paths, const Incumbents& claims) {
  if (claims.empty()) {
    FL_CHECK(remove_file(path_of(paths)));
    return {};
  }
  Json json{{"apiVersion", kApiVersion}, {"claims", Json::object()}};
  for (const auto& [what, owner] : claims) json["claims"][what] = owner;
  return replace_file(path_of(paths), dump_json(json, 1) + "\n", Durability::kBoot);
}

}  // namespace fairlead::lb
