// Bytes as text and back, digests, random bytes. Decoders are strict: one encoding of a value, nothing else.
// Threads: stateless.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace fairlead::cluster {

std::string to_base64(std::string_view bytes);
std::optional<std::string> from_base64(std::string_view text);
// RFC 4648 letters, upper case, no padding. Decoding takes lower case, too: people type it.
std::string to_base32(std::string_view bytes);
std::optional<std::string> from_base32(std::string_view text);
std::string to_hex(std::string_view bytes);

std::string sha256(std::string_view bytes);  // 32 bytes
// HKDF-SHA256 without salt (RFC 5869): length bytes for the purpose that info names.
std::string derive(std::string_view secret, std::string_view info, size_t length);
std::string random_bytes(size_t count);
bool equal_secrets(std::string_view a, std::string_view b);  // in constant time
void wipe(std::string& secret);

}  // namespace fairlead::cluster
