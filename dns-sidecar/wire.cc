#include "dns-sidecar/wire.h"

#include <sys/random.h>

#include "base/names.h"

namespace fairlead::dns {
namespace {

uint8_t lower(uint8_t c) { return static_cast<uint8_t>(c - 'A') < 26 ? c | 0x20 : c; }

// The question's name: labels only. A pointer there could only point into the header (RFC 9267 section 2).
size_t read_question_name(const uint8_t* data, size_t size, Name& name) {
  size_t at = kHeaderBytes;
  name.length = 0;
  name.labels = 0;
  for (;;) {
    if (at >= size) return 0;
    uint8_t n = data[at];
    name.offset[name.labels] = name.length;
    if (n == 0) return at + 1;
    if (n > 63 || at + 1 + n >= size || name.length + 1u + n > kMaxNameBytes - 1) return 0;
    uint8_t* to = name.bytes + name.length;
    *to++ = n;
    for (unsigned i = 0; i < n; i++) *to++ = lower(data[at + 1 + i]);
    name.length = static_cast<uint8_t>(name.length + 1 + n);
    name.labels++;
    at += 1u + n;
  }
}

// The records behind the question: all must be there; an OPT only in the additional section, once, owned by the root.
Parsed read_rest(const uint8_t* data, size_t size, Query& query) {
  size_t at = query.question_end;
  unsigned before = get16(data + 6) + get16(data + 8), total = before + get16(data + 10);
  for (unsigned i = 0; i < total; i++) {
    Record record;
    if (!read_record(data, size, at, record)) return Parsed::kFormatError;
    at = record.end;
    if (record.type != kTypeOpt) continue;
    if (i < before || query.edns.present || !record.root_owner || !read_opt(data, record, query.edns))
      return Parsed::kFormatError;
  }
  return query.edns.present && query.edns.version != 0 ? Parsed::kBadVersion : Parsed::kOk;
}

}  // namespace

Parsed parse_query(const uint8_t* data, size_t size, Query& query) {
  if (size < kHeaderBytes || (data[2] & 0x80)) return Parsed::kDrop;
  query.data = data;
  query.size = size;
  query.id = get16(data);
  query.flags = get16(data + 2);
  query.edns = {};
  if ((query.flags >> 11 & 15) != 0) return Parsed::kNotImplemented;
  if (get16(data + 4) != 1) return Parsed::kFormatError;
  size_t at = read_question_name(data, size, query.name);
  if (at == 0 || at + 4 > size) return Parsed::kFormatError;
  query.type = get16(data + at);
  query.klass = get16(data + at + 2);
  query.question_end = at + 4;
  return read_rest(data, size, query);
}

size_t skip_name(const uint8_t* data, size_t size, size_t offset) {
  for (size_t length = 1; offset < size;) {
    uint8_t n = data[offset];
    if (n == 0) return offset + 1;
    if (n >= 0xc0) return offset + 2 <= size ? offset + 2 : 0;
    length += 1u + n;
    if (n > 63 || length > kMaxNameBytes) return 0;
    offset += 1u + n;
  }
  return 0;
}

bool read_record(const uint8_t* data, size_t size, size_t offset, Record& record) {
  record.begin = offset;
  size_t at = skip_name(data, size, offset);
  if (at == 0 || at + 10 > size) return false;
  record.root_owner = data[offset] == 0;
  record.type = get16(data + at);
  record.klass = get16(data + at + 2);
  record.ttl = static_cast<uint32_t>(get16(data + at + 4)) << 16 | get16(data + at + 6);
  record.length = get16(data + at + 8);
  record.data = at + 10;
  record.end = record.data + record.length;
  return record.end <= size;
}

bool read_opt(const uint8_t* data, const Record& record, Edns& edns) {
  edns.present = true;
  edns.size = record.klass;
  edns.version = static_cast<uint8_t>(record.ttl >> 16);
  edns.dnssec_ok = record.ttl & 0x8000;
  size_t at = record.data;
  while (at < record.end) {
    if (at + 4 > record.end) return false;
    at += 4u + get16(data + at + 2);
  }
  return at == record.end;
}

size_t plain_name_length(const uint8_t* data, size_t size, size_t offset) {
  for (size_t at = offset; at < size && at - offset < kMaxNameBytes; at += 1u + data[at]) {
    if (data[at] == 0) return at + 1 - offset;
    if (data[at] > 63) return 0;
  }
  return 0;
}

std::optional<std::string> wire_name(std::string_view text) {
  if (!is_dns_name(text)) return std::nullopt;
  std::string wire;
  while (!text.empty()) {
    size_t n = std::min(text.find('.'), text.size());
    wire.push_back(static_cast<char>(n));
    for (char c : text.substr(0, n)) wire.push_back(static_cast<char>(lower(static_cast<uint8_t>(c))));
    text.remove_prefix(std::min(n + 1, text.size()));
  }
  if (wire.size() >= kMaxNameBytes) return std::nullopt;
  return wire;
}

std::string name_text(std::string_view wire) {
  std::string text;
  while (!wire.empty() && wire[0] != 0) {
    size_t n = static_cast<uint8_t>(wire[0]);
    if (!text.empty()) text.push_back('.');
    for (char c : wire.substr(1, n)) {
      auto u = static_cast<uint8_t>(c);
      if (u <= ' ' || u >= 0x7f) {
        text += {'\\', static_cast<char>('0' + u / 100), static_cast<char>('0' + u / 10 % 10),
                 static_cast<char>('0' + u % 10)};
        continue;
      }
      if (c == '.' || c == '\\') text.push_back('\\');
      text.push_back(c);
    }
    wire.remove_prefix(std::min(n + 1, wire.size()));
  }
  return text.empty() ? "." : text;
}

namespace {

uint64_t mix(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  Wide r = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(r) ^ static_cast<uint64_t>(r >> 64);
}
template <class T>
uint64_t load(const uint8_t* p) {
  T v;
  memcpy(&v, p, sizeof v);
  return v;
}
struct HashKey {
  uint64_t seed = 0x9e3779b97f4a7c15ull;
  HashKey() {
    // Without entropy the constant remains: correct, only predictable.
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed) seed = 0x9e3779b97f4a7c15ull;
  }
};
const HashKey key;

}  // namespace

// wyhash's scheme: 16 bytes a multiplication, the tail read twice instead of byte by byte.
uint64_t hash_bytes(const void* data, size_t size) {
  constexpr uint64_t k0 = 0xa0761d6478bd642full, k1 = 0xe7037ed1a0b428dbull;
  const auto* p = static_cast<const uint8_t*>(data);
  uint64_t seed = key.seed ^ k0;
  size_t n = size;
  for (; n > 16; n -= 16, p += 16) seed = mix(load<uint64_t>(p) ^ k1, load<uint64_t>(p + 8) ^ seed);
  uint64_t a = 0, b = 0;
  if (n >= 8) {
    a = load<uint64_t>(p);
    b = load<uint64_t>(p + n - 8);
  } else if (n >= 4) {
    a = load<uint32_t>(p);
    b = load<uint32_t>(p + n - 4);
  } else if (n > 0) {
    a = static_cast<uint64_t>(p[0]) << 16 | static_cast<uint64_t>(p[n >> 1]) << 8 | p[n - 1];
  }
  return mix(k1 ^ size, mix(a ^ k1, b ^ seed));
}

}  // namespace fairlead::dns
