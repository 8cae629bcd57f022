#include "cluster/token.h"

#include "cluster/encoding.h"

namespace fairlead::cluster {
namespace {

constexpr std::string_view kPrefix = "FAIRLEAD-1-";
constexpr size_t kDigestBytes = 32, kSecretBytes = 16;

}  // namespace

Token make_token(std::string root_digest) { return {std::move(root_digest), random_bytes(kSecretBytes)}; }

std::string to_text(const Token& token) {
  return std::string(kPrefix) + to_base32(token.root_digest) + "-" + to_base32(token.secret);
}

Result<Token> parse_token(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  auto begin = text.find_first_not_of(kSpace);
  if (begin == text.npos) return fail("the token is empty; get one with: fairleadctl cluster token node");
  text = text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
  if (!text.starts_with(kPrefix))
    return fail("this is no token of Fairlead: it would begin with " + std::string(kPrefix));
  text.remove_prefix(kPrefix.size());
  auto dash = text.find('-');
  auto digest = from_base32(text.substr(0, dash));
  auto secret = from_base32(dash == text.npos ? "" : text.substr(dash + 1));
  if (!digest || !secret || digest->size() != kDigestBytes || secret->size() != kSecretBytes)
    return fail("the token is not whole, or a letter of it was mistyped; copy it again");
  return Token{std::move(*digest), std::move(*secret)};
}

std::string token_id(const Token& token) {
  return to_hex(derive(token.secret, "fairlead join name" + token.root_digest, 8));
}
std::string handshake_key(const Token& token) {
  return derive(token.secret, "fairlead join handshake" + token.root_digest, 32);
}
std::string join_proof(const Token& token) {
  return derive(token.secret, "fairlead join proof" + token.root_digest, 32);
}

}  // namespace fairlead::cluster
