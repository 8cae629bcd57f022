// IPv4 and IPv6 addresses and prefixes as values, in canonical text (RFC 5952) and network byte order.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fairlead {

class Address {
 public:
  Address() = default;  // no address: family() == 0

  // Strict: no zones, no leading zeros, no surrounding space. IPv4-mapped IPv6 is refused.
  static Result<Address> parse(std::string_view text);
  static Address v4(uint32_t host_order);
  static Address from_bytes(int family, const void* bytes);

  int family() const { return family_; }  // AF_INET, AF_INET6, or 0
  bool is_v4() const;
  bool is_v6() const;
  size_t size() const { return is_v4() ? 4 : 16; }
  unsigned bits() const { return is_v4() ? 32 : 128; }
  const uint8_t* bytes() const { return bytes_.data(); }
  uint32_t to_v4() const;  // host order; IPv4 only
  std::string to_string() const;
  explicit operator bool() const { return family_ != 0; }

  // The address n further on (n may be negative); wraps inside the family.
  Address plus(int64_t n) const;
  // this - other for addresses of one family, saturated to 2^63-1.
  int64_t minus(const Address& other) const;

  bool is_loopback() const;
  bool is_multicast() const;
  bool is_link_local() const;
  bool is_unspecified() const;

  friend bool operator==(const Address&, const Address&) = default;
  friend std::strong_ordering operator<=>(const Address&, const Address&) = default;

 private:
  int family_ = 0;
  std::array<uint8_t, 16> bytes_{};
};

struct Prefix {
  Address address;
  unsigned length = 0;

  // "10.0.0.0/8". A bare address gets the full length.
  static Result<Prefix> parse(std::string_view text);
  bool contains(const Address& a) const;
  bool contains(const Prefix& p) const { return p.length >= length && contains(p.address); }
  bool overlaps(const Prefix& p) const { return contains(p) || p.contains(*this); }
  Address first() const;  // the network address
  Address last() const;
  bool has_host_bits() const { return first() != address; }
  unsigned host_bits() const { return address.bits() - length; }
  int family() const { return address.family(); }
  std::string to_string() const;

  friend bool operator==(const Prefix&, const Prefix&) = default;
  friend std::strong_ordering operator<=>(const Prefix&, const Prefix&) = default;
};

struct Mac {
  std::array<uint8_t, 6> bytes{};

  static Result<Mac> parse(std::string_view text);  // "02:57:00:00:00:01"
  static Mac random();                              // unicast, locally administered
  bool is_multicast() const { return bytes[0] & 1; }
  bool is_zero() const { return bytes == std::array<uint8_t, 6>{}; }
  std::string to_string() const;
  friend bool operator==(const Mac&, const Mac&) = default;
};

}  // namespace fairlead

template <>
struct std::hash<fairlead::Address> {
  size_t operator()(const fairlead::Address& a) const noexcept {
    return std::hash<std::string_view>{}({reinterpret_cast<const char*>(a.bytes()), 16});
  }
};
