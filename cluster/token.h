// Join tokens: FAIRLEAD-1-<digest of the root certificate, base32>-<secret, base32>.
//
// The digest tells the joining host which cluster it will trust; the secret tells the cluster to trust the host. From
// the secret come three values that do not lead back to it nor to one another: the name the token has in the store, the
// key of the TLS handshake, and the proof that is shown after it. The store holds name, key and the proof's digest: who
// reads the store can begin a handshake, but not join (docs/decisions/0023).
// Threads: stateless. Secrets never appear in errors.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace fairlead::cluster {

struct Token {
  std::string root_digest;  // 32 bytes: SHA-256 of the root certificate's DER
  std::string secret;       // 16 bytes
};

Token make_token(std::string root_digest);
std::string to_text(const Token& token);
// White space around it is ignored. An error says what is wrong, never what was given.
Result<Token> parse_token(std::string_view text);

std::string token_id(const Token& token);       // 16 hex digits; its name in the store and in the handshake
std::string handshake_key(const Token& token);  // 32 bytes
std::string join_proof(const Token& token);     // 32 bytes, sent after the handshake; the store has its SHA-256

}  // namespace fairlead::cluster
