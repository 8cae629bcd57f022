#include "dns-sidecar/engine.h"

#include <sys/socket.h>

#include "dns-sidecar/lookup.h"

namespace fairlead::dns {
namespace {

constexpr std::string_view kLocalhost4{"\x7f\0\0\x01", 4};
constexpr std::string_view kLocalhost6{"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 16};

// Writes an answer over a copy of the query's header and question. Room for the OPT is kept back from the start.
class Writer {
 public:
  Writer(const Query& query, uint8_t* out, size_t limit) : query_(query), out_(out) {
    limit_ = limit - (query.edns.present ? kOptBytes : 0);
    memcpy(out_, query.data, query.question_end);
    size_ = query.question_end;
  }

  // A whole record or nothing; false sets TC.
  bool put(std::string_view record, uint16_t& section) {
    if (size_ + record.size() > limit_) return truncate();
    memcpy(out_ + size_, record.data(), record.size());
    size_ += record.size();
    section++;
    return true;
  }
  // Records of equal size, from a random one on, around.
  void put_rotated(const std::string& records, size_t each, Spread& spread) {
    auto count = static_cast<uint32_t>(records.size() / each);
    auto fitting = static_cast<uint32_t>(std::min<size_t>(count, (limit_ - size_) / each));
    if (fitting < count) truncate();
    uint32_t start = count > 1 ? spread.below(count) : 0;
    uint32_t first = std::min(fitting, count - start);
    copy(records, start * each, first * each);
    copy(records, 0, (fitting - first) * each);
    answers = static_cast<uint16_t>(answers + fitting);
  }
  void put_record(uint16_t type, uint32_t ttl, std::string_view rdata) {
    uint8_t record[kMaxNameBytes + 64];
    put16(record, 0xc000 | kHeaderBytes);
    fixed(record + 2, type, ttl, rdata.size());
    memcpy(record + 12, rdata.data(), rdata.size());
    put({reinterpret_cast<char*>(record), 12 + rdata.size()}, answers);
  }
  // owner: offset in the message of the name the SOA belongs to, 0 for the root.
  void put_soa(std::string_view soa, size_t owner, uint16_t& section) {
    uint8_t record[160];
    size_t n = 1;
    record[0] = 0;
    if (owner != 0) {
      put16(record, static_cast<uint16_t>(0xc000 | owner));
      n = 2;
    }
    memcpy(record + n, soa.data(), soa.size());
    put({reinterpret_cast<char*>(record), n + soa.size()}, section);
  }

  size_t finish(uint8_t rcode, bool authoritative) {
    uint16_t flags = static_cast<uint16_t>(kFlagQr | kFlagRa | (query_.flags & (kFlagRd | kFlagCd)) | (rcode & 15));
    if (authoritative) flags |= kFlagAa;
    if (truncated_) flags |= kFlagTc;
    put16(out_ + 2, flags);
    put16(out_ + 6, answers);
    put16(out_ + 8, authority);
    uint16_t more = additional;
    if (query_.edns.present) {
      uint8_t* opt = out_ + size_;
      opt[0] = 0;
      put16(opt + 1, kTypeOpt);
      put16(opt + 3, kMaxUdpBytes);
      put32(opt + 5, static_cast<uint32_t>(rcode >> 4) << 24 | (query_.edns.dnssec_ok ? 0x8000u : 0));
      put16(opt + 9, 0);
      size_ += kOptBytes;
      more++;
    }
    put16(out_ + 10, more);
    return size_;
  }

  static void fixed(uint8_t* p, uint16_t type, uint32_t ttl, size_t length) {
    put16(p, type);
    put16(p + 2, kClassIn);
    put32(p + 4, ttl);
    put16(p + 8, static_cast<uint16_t>(length));
  }

  bool truncated() const { return truncated_; }
  bool fits(size_t n) const { return size_ + n <= limit_; }
  uint16_t answers = 0, authority = 0, additional = 0;

 private:
  bool truncate() {
    truncated_ = true;
    return false;
  }
  void copy(const std::string& from, size_t at, size_t n) {
    memcpy(out_ + size_, from.data() + at, n);
    size_ += n;
  }

  const Query& query_;
  uint8_t* out_;
  size_t limit_ = 0, size_ = 0;
  bool truncated_ = false;
};

// For what has no readable question: the header alone, without sections.
Decision header_only(const uint8_t* data, Rcode rcode, uint8_t* out) {
  memcpy(out, data, 2);
  memset(out + 2, 0, kHeaderBytes - 2);
  uint16_t flags = get16(data + 2);
  put16(out + 2, static_cast<uint16_t>(kFlagQr | kFlagRa | (flags & (0x7800 | kFlagRd | kFlagCd)) | rcode));
  return {Verdict::kAnswer, kHeaderBytes, rcode, 0};
}

Decision plain(const Query& query, uint8_t rcode, uint8_t* out) {
  Writer writer(query, out, kPlainUdpBytes);
  size_t size = writer.finish(rcode, false);
  return {Verdict::kAnswer, size, static_cast<Rcode>(rcode & 15), 0};
}

size_t owner_offset(const Query& query, unsigned label) {
  return label >= query.name.labels ? 0 : kHeaderBytes + query.name.offset[label];
}

Decision negative(const Snapshot& snapshot, Rcode rcode, size_t owner, Writer& writer) {
  writer.put_soa(snapshot.soa, owner, writer.authority);
  return {Verdict::kAnswer, writer.finish(rcode, true), rcode, 0};
}

void put_name_records(const Query& query, const NameNode& node, Writer& writer, Spread& spread) {
  switch (query.type) {
    case kTypeA:
      return writer.put_rotated(node.a, kARecordBytes, spread);
    case kTypeAaaa:
      return writer.put_rotated(node.aaaa, kAaaaRecordBytes, spread);
    case kTypeSrv: {
      const auto count = static_cast<uint32_t>(node.srv.size());
      const uint32_t start = count > 1 ? spread.below(count) : 0;
      for (uint32_t i = 0; i < count; i++)
        if (!writer.put(node.srv[(start + i) % count].record, writer.answers)) return;
      // What does not fit here is left out without TC (RFC 2181 section 9).
      for (uint32_t i = 0; i < count; i++) {
        const auto& srv = node.srv[(start + i) % count];
        uint16_t sections = 0;
        if (srv.additional_count == 0 || !writer.fits(srv.additional.size())) continue;
        writer.put(srv.additional, sections);
        writer.additional = static_cast<uint16_t>(writer.additional + srv.additional_count);
      }
      return;
    }
    case kTypeAny:  // RFC 8482 section 4.2
      return writer.put_record(kTypeHinfo, kTtl,
                               std::string_view("\x07"
                                                "RFC8482\0",
                                                9));
    default:
      return;
  }
}

void put_address(const Query& query, const Address& v4, const Address& v6, Writer& writer) {
  if (query.type == kTypeA && v4) writer.put_record(kTypeA, kTtl, {reinterpret_cast<const char*>(v4.bytes()), 4});
  if (query.type == kTypeAaaa && v6)
    writer.put_record(kTypeAaaa, kTtl, {reinterpret_cast<const char*>(v6.bytes()), 16});
}

void put_found(const Snapshot& snapshot, const Query& query, const Lookup& lookup, const Zone* asked, Writer& writer,
               Spread& spread) {
  switch (lookup.found) {
    case Found::kName:
      return put_name_records(query, *lookup.node, writer, spread);
    case Found::kAddress:
      if (query.type == kTypePtr || query.type == kTypeAny) {
        const NameNode* node = current_name(*lookup.zone, *lookup.address);
        std::string_view parts[] = {node->key, lookup.zone->suffix, kDomainWire, std::string_view("\0", 1)};
        char target[3 * kMaxNameBytes];
        size_t n = 0;
        for (auto part : parts) {
          memcpy(target + n, part.data(), part.size());
          n += part.size();
        }
        if (n <= kMaxNameBytes) writer.put_record(kTypePtr, kTtl, {target, n});
      }
      return;
    case Found::kNameServer:
      if (asked) put_address(query, asked->gateway4, asked->gateway6, writer);
      return;
    case Found::kApex:
      if (query.type == kTypeSoa || query.type == kTypeAny)
        writer.put_soa(snapshot.soa, owner_offset(query, 0), writer.answers);
      if (query.type == kTypeNs) {
        std::string_view target{"\x02ns\xc0\x0c", 5};
        writer.put_record(kTypeNs, kTtl, target);
      }
      return;
    case Found::kLocalhost:
      if (query.type == kTypeA) writer.put_record(kTypeA, kTtl, kLocalhost4);
      if (query.type == kTypeAaaa) writer.put_record(kTypeAaaa, kTtl, kLocalhost6);
      return;
    default:
      return;
  }
}

bool meta_type(uint16_t type) {
  return type == 0 || type == 65535 || type == kTypeOpt || (type >= kTypeTkey && type <= kTypeMaila);
}

// Which network's resolvers a container may use: those of its first network that is not internal.
const Zone* forwarding_zone(const Snapshot& snapshot, const AddressNode& asker) {
  for (uint32_t slot : asker.networks)
    if (const Zone* zone = snapshot.zone(slot); zone && !zone->internal) return zone;
  return nullptr;
}

Decision foreign(const Snapshot& snapshot, const AddressNode& asker, const Query& query, Writer& writer, uint8_t* out) {
  const Zone* zone = forwarding_zone(snapshot, asker);
  // A closed world: to a container of internal networks the root has no other names than ours.
  if (!zone || (query.name.labels == 1 && !zone->forward_single_labels))
    return negative(snapshot, kNxDomain, 0, writer);
  if (!(query.flags & kFlagRd)) return plain(query, kRefused, out);
  return {Verdict::kForward, 0, kNoError, zone->slot};
}

}  // namespace

Decision decide(const Snapshot& snapshot, const Asked& asked, const uint8_t* data, size_t size, Query& query,
                uint8_t* out, size_t capacity, Spread& spread) {
  switch (parse_query(data, size, query)) {
    case Parsed::kDrop:
      return {};
    case Parsed::kFormatError:
      return header_only(data, kFormErr, out);
    case Parsed::kNotImplemented:
      return header_only(data, kNotImp, out);
    case Parsed::kBadVersion:
      return plain(query, kBadVers, out);
    case Parsed::kOk:
      break;
  }
  const Zone* zone = snapshot.zone(asked.network);
  const AddressNode* asker = zone ? zone->addresses.find(hash_bytes(asked.source), asked.source) : nullptr;
  if (!asker || asker->networks.empty() || query.klass != kClassIn) return plain(query, kRefused, out);
  if (meta_type(query.type))
    return plain(query, query.type == kTypeAxfr || query.type == kTypeIxfr ? kRefused : kNotImp, out);
  Writer writer(query, out, asked.tcp ? std::min(capacity, kMaxTcpBytes) : std::min(capacity, query.udp_limit()));
  Lookup lookup = look_up(snapshot, *asker, query.name);
  if (lookup.found == Found::kForeign) return foreign(snapshot, *asker, query, writer, out);
  if (lookup.found == Found::kNoName)
    return negative(snapshot, kNxDomain, owner_offset(query, lookup.soa_label), writer);
  put_found(snapshot, query, lookup, zone, writer, spread);
  if (writer.answers == 0 && !writer.truncated())
    return negative(snapshot, kNoError, owner_offset(query, lookup.soa_label), writer);
  return {Verdict::kAnswer, writer.finish(kNoError, true), kNoError, 0};
}

size_t write_failure(const Query& query, Rcode rcode, uint8_t* out) { return plain(query, rcode, out).size; }

}  // namespace fairlead::dns
