// DNS messages as bytes: what a query must look like to be answered, and how far a message can be trusted.
// Everything here reads hostile input; nothing reads beyond `size`, loops over a pointer, or allocates.
// RFC 1035 (messages), 6891 (EDNS), 9267 (what parsers get wrong). Threads: stateless.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace fairlead::dns {

inline constexpr size_t kHeaderBytes = 12;
inline constexpr size_t kMaxNameBytes = 255;  // with the root's zero byte
inline constexpr size_t kMaxLabels = 127;
inline constexpr size_t kOptBytes = 11;        // an OPT record without options
inline constexpr size_t kPlainUdpBytes = 512;  // without EDNS (RFC 1035 section 4.2.1)
// Our own maximum over UDP: never fragmented on a path of IPv6's minimum MTU (DNS flag day 2020, RFC 9715).
inline constexpr size_t kMaxUdpBytes = 1232;
inline constexpr size_t kMaxTcpBytes = 65535;

enum Rcode : uint8_t { kNoError = 0, kFormErr = 1, kServFail = 2, kNxDomain = 3, kNotImp = 4, kRefused = 5 };
inline constexpr uint8_t kBadVers = 16;  // extended; its low four bits stand in the header

enum Type : uint16_t {
  kTypeA = 1,
  kTypeNs = 2,
  kTypeSoa = 6,
  kTypePtr = 12,
  kTypeHinfo = 13,
  kTypeAaaa = 28,
  kTypeSrv = 33,
  kTypeOpt = 41,
  kTypeTkey = 249,
  kTypeTsig = 250,
  kTypeIxfr = 251,
  kTypeAxfr = 252,
  kTypeMailb = 253,
  kTypeMaila = 254,
  kTypeAny = 255,
};
inline constexpr uint16_t kClassIn = 1;

// Header flags (the second 16 bits).
inline constexpr uint16_t kFlagQr = 0x8000, kFlagAa = 0x0400, kFlagTc = 0x0200, kFlagRd = 0x0100, kFlagRa = 0x0080,
                          kFlagAd = 0x0020, kFlagCd = 0x0010;

inline uint16_t get16(const uint8_t* p) { return static_cast<uint16_t>(p[0] << 8 | p[1]); }
inline void put16(uint8_t* p, uint16_t v) {
  p[0] = static_cast<uint8_t>(v >> 8);
  p[1] = static_cast<uint8_t>(v);
}
inline void put32(uint8_t* p, uint32_t v) {
  put16(p, static_cast<uint16_t>(v >> 16));
  put16(p + 2, static_cast<uint16_t>(v));
}

// A name of a question, lower case, in wire format without the root's zero byte.
struct Name {
  uint8_t bytes[kMaxNameBytes];
  uint8_t offset[kMaxLabels + 1];  // where each label's length byte stands; offset[labels] == length
  uint8_t length = 0;
  uint8_t labels = 0;

  std::string_view view() const { return {reinterpret_cast<const char*>(bytes), length}; }
  // The first n labels / everything from label n on.
  std::string_view head(unsigned n) const { return view().substr(0, offset[n]); }
  std::string_view tail(unsigned n) const { return view().substr(offset[n]); }
  // True when the last labels are exactly `suffix` (wire format, suffix_labels of them).
  bool ends_with(std::string_view suffix, unsigned suffix_labels) const {
    return suffix_labels <= labels && offset[labels - suffix_labels] + suffix.size() == length &&
           tail(labels - suffix_labels) == suffix;
  }
};

struct Edns {
  bool present = false;
  bool dnssec_ok = false;
  uint8_t version = 0;
  uint16_t size = 0;  // as the sender gave it
};

struct Query {
  const uint8_t* data = nullptr;
  size_t size = 0;
  uint16_t id = 0, flags = 0, type = 0, klass = 0;
  size_t question_end = 0;  // header and question as received: data[0, question_end)
  Name name;
  Edns edns;

  // The largest UDP answer its sender takes from us.
  size_t udp_limit() const {
    if (!edns.present || edns.size < kPlainUdpBytes) return kPlainUdpBytes;
    return edns.size < kMaxUdpBytes ? edns.size : kMaxUdpBytes;
  }
};

enum class Parsed {
  kOk,
  kDrop,  // no answer at all: a response, or too short to have an id
  kFormatError,
  kNotImplemented,  // another opcode than QUERY
  kBadVersion,      // EDNS version other than 0; the question is valid
};
Parsed parse_query(const uint8_t* data, size_t size, Query& query);

// Walks over a name that may be compressed, without following it. The offset behind it, or 0 when it is broken.
size_t skip_name(const uint8_t* data, size_t size, size_t offset);

// One resource record of a message.
struct Record {
  size_t begin = 0, end = 0;
  size_t data = 0;  // offset of RDATA
  uint16_t type = 0, klass = 0, length = 0;
  uint32_t ttl = 0;
  bool root_owner = false;
};
// false when the record at offset does not fit into the message.
bool read_record(const uint8_t* data, size_t size, size_t offset, Record& record);
// Checks an OPT record's options and fills edns; false when they are broken.
bool read_opt(const uint8_t* data, const Record& record, Edns& edns);

// The length of the uncompressed name at offset, with its zero byte; 0 when it is not one.
size_t plain_name_length(const uint8_t* data, size_t size, size_t offset);

// "web.net1" as lower-case wire format without the root's zero byte; nullopt when it is not a name (base/names.h).
std::optional<std::string> wire_name(std::string_view text);
// For people: escapes what is not printable (RFC 1035 section 5.1). "." for the root.
std::string name_text(std::string_view wire);

// A keyed hash of short byte strings; the key is chosen at random when the process starts, because the names come
// from containers, who could otherwise make them collide.
uint64_t hash_bytes(const void* data, size_t size);
inline uint64_t hash_bytes(std::string_view bytes) { return hash_bytes(bytes.data(), bytes.size()); }

}  // namespace fairlead::dns
