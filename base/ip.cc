#include "base/ip.h"

#include <arpa/inet.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <charconv>
#include <cstring>

namespace fairlead {

Result<Address> Address::parse(std::string_view text) {
  // Neither form is longer; the copy is for the terminating NUL that inet_pton needs.
  if (text.empty() || text.size() >= INET6_ADDRSTRLEN || text.find('\0') != text.npos)
    return fail("\"" + std::string(text.substr(0, 64)) + "\" is not an IP address");
  std::string copy(text);
  Address a;
  if (inet_pton(AF_INET, copy.c_str(), a.bytes_.data()) == 1) {
    a.family_ = AF_INET;
    return a;
  }
  if (inet_pton(AF_INET6, copy.c_str(), a.bytes_.data()) == 1) {
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (memcmp(a.bytes_.data(), mapped, 12) == 0)
      return fail("\"" + copy + "\" is an IPv4-mapped IPv6 address; write the IPv4 address");
    a.family_ = AF_INET6;
    return a;
  }
  return fail("\"" + copy + "\" is not an IP address");
}

Address Address::v4(uint32_t host_order) {
  uint32_t be = htonl(host_order);
  return from_bytes(AF_INET, &be);
}

Address Address::from_bytes(int family, const void* bytes) {
  Address a;
  a.family_ = family;
  memcpy(a.bytes_.data(), bytes, family == AF_INET ? 4 : 16);
  return a;
}

bool Address::is_v4() const { return family_ == AF_INET; }
bool Address::is_v6() const { return family_ == AF_INET6; }

uint32_t Address::to_v4() const {
  uint32_t be = 0;
  memcpy(&be, bytes_.data(), 4);
  return ntohl(be);
}

std::string Address::to_string() const {
  if (family_ == 0) return "none";
  char text[INET6_ADDRSTRLEN];
  if (is_v4()) {  // inet_ntop goes through sprintf, several thousand instructions
    char* end = text;
    for (size_t i = 0; i < 4; i++) {
      if (i) *end++ = '.';
      end = std::to_chars(end, text + sizeof text, bytes_[i]).ptr;
    }
    return std::string(text, end);
  }
  inet_ntop(family_, bytes_.data(), text, sizeof text);
  return text;
}

Address Address::plus(int64_t n) const {
  Address a = *this;
  int64_t carry = n;
  for (size_t i = size(); i-- > 0;) {
    int64_t sum = a.bytes_[i] + (carry & 0xff);
    a.bytes_[i] = static_cast<uint8_t>(sum);
    carry = (carry >> 8) + (sum >> 8);  // arithmetic shift keeps the sign
  }
  return a;
}

int64_t Address::minus(const Address& other) const {
  // The low 8 bytes decide unless the high ones differ; then the difference is beyond any use of ours.
  if (is_v4()) return static_cast<int64_t>(to_v4()) - static_cast<int64_t>(other.to_v4());
  bool larger = *this > other;
  const Address& high = larger ? *this : other;
  const Address& low = larger ? other : *this;
  uint64_t h = 0, l = 0, hh = 0, lh = 0;
  for (int i = 0; i < 8; i++) {
    hh = hh << 8 | high.bytes_[i];
    lh = lh << 8 | low.bytes_[i];
    h = h << 8 | high.bytes_[i + 8];
    l = l << 8 | low.bytes_[i + 8];
  }
  uint64_t limit = INT64_MAX;
  uint64_t difference = hh != lh || h - l > limit ? limit : h - l;
  return larger ? static_cast<int64_t>(difference) : -static_cast<int64_t>(difference);
}

bool Address::is_loopback() const {
  if (is_v4()) return bytes_[0] == 127;
  static const uint8_t one[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return is_v6() && memcmp(bytes_.data(), one, 16) == 0;
}
bool Address::is_multicast() const { return is_v4() ? bytes_[0] >= 224 : is_v6() && bytes_[0] == 0xff; }
bool Address::is_link_local() const {
  return is_v4() ? bytes_[0] == 169 && bytes_[1] == 254 : is_v6() && bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}
bool Address::is_unspecified() const { return bytes_ == std::array<uint8_t, 16>{}; }

Result<Prefix> Prefix::parse(std::string_view text) {
  auto slash = text.find('/');
  FL_TRY(Address address, Address::parse(text.substr(0, slash)));
  unsigned length = address.bits();
  if (slash != text.npos) {
    auto digits = text.substr(slash + 1);
    auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    bool leading_zero = digits.size() > 1 && digits[0] == '0';
    if (ec != std::errc() || end != digits.data() + digits.size() || leading_zero || length > address.bits())
      return fail("\"" + std::string(text) + "\": the prefix length must be 0 to " + std::to_string(address.bits()));
  }
  return Prefix{address, length};
}

bool Prefix::contains(const Address& a) const {
  if (a.family() != address.family() || !a) return false;
  unsigned whole = length / 8, rest = length % 8;
  if (memcmp(a.bytes(), address.bytes(), whole) != 0) return false;
  if (rest == 0) return true;
  uint8_t mask = static_cast<uint8_t>(0xff << (8 - rest));
  return (a.bytes()[whole] & mask) == (address.bytes()[whole] & mask);
}

Address Prefix::first() const {
  uint8_t b[16];
  memcpy(b, address.bytes(), 16);
  for (unsigned i = length; i < address.bits(); i++) b[i / 8] &= static_cast<uint8_t>(~(0x80 >> (i % 8)));
  return Address::from_bytes(address.family(), b);
}

Address Prefix::last() const {
  uint8_t b[16];
  memcpy(b, address.bytes(), 16);
  for (unsigned i = length; i < address.bits(); i++) b[i / 8] |= static_cast<uint8_t>(0x80 >> (i % 8));
  return Address::from_bytes(address.family(), b);
}

std::string Prefix::to_string() const { return address.to_string() + "/" + std::to_string(length); }

Result<Mac> Mac::parse(std::string_view text) {
  Mac mac;
  bool good = text.size() == 17;
  for (size_t i = 0; good && i < 6; i++) {
    auto part = text.substr(i * 3, 2);
    auto [end, ec] = std::from_chars(part.data(), part.data() + 2, mac.bytes[i], 16);
    good = ec == std::errc() && end == part.data() + 2 && (i == 5 || text[i * 3 + 2] == ':');
  }
  if (!good)
    return fail("\"" + std::string(text.substr(0, 64)) + "\" is not a MAC address (expected 02:00:00:00:00:01)");
  return mac;
}

Mac Mac::random() {
  Mac mac;
  while (::getrandom(mac.bytes.data(), mac.bytes.size(), 0) != 6) {
  }
  mac.bytes[0] = static_cast<uint8_t>((mac.bytes[0] & 0xfc) | 0x02);
  return mac;
}

std::string Mac::to_string() const {
  static const char digit[] = "0123456789abcdef";
  std::string text;
  for (auto b : bytes) {
    if (!text.empty()) text += ':';
    text += digit[b >> 4];
    text += digit[b & 15];
  }
  return text;
}

}  // namespace fairlead
