#include "dns-sidecar/upstream_message.h"

#include <algorithm>

namespace fairlead::dns {
namespace {

uint8_t lower(uint8_t c) { return static_cast<uint8_t>(c - 'A') < 26 ? c | 0x20 : c; }

size_t write_opt(bool dnssec_ok, uint8_t* out) {
  const uint8_t opt[kOptBytes] = {
      0, 0, kTypeOpt, kMaxUdpBytes >> 8, kMaxUdpBytes & 255, 0, 0, static_cast<uint8_t>(dnssec_ok ? 0x80 : 0), 0, 0, 0};
  memcpy(out, opt, kOptBytes);
  return kOptBytes;
}

bool same_question(const ForwardRequest& request, const uint8_t* data, size_t size) {
  const size_t n = request.question_bytes;
  if (get16(data + 4) != 1 || size < kHeaderBytes + n) return false;
  // The last four bytes, type and class, must match exactly; lower() could only confuse them.
  return std::equal(request.question, request.question + n - 4, data + kHeaderBytes,
                    [](uint8_t a, uint8_t b) { return lower(a) == lower(b); }) &&
         memcmp(request.question + n - 4, data + kHeaderBytes + n - 4, 4) == 0;
}

// Where the records end that the asker may see. false when one of them is broken.
bool read_records(size_t size, UpstreamAnswer& answer, unsigned& extended_rcode) {
  const uint8_t* data = answer.data;
  const unsigned before = answer.answers + answer.authority, total = before + answer.additional;
  answer.records_end = answer.records_begin;
  extended_rcode = 0;
  for (unsigned i = 0; i < total; i++) {
    Record record;
    if (!read_record(data, size, answer.records_end, record)) return false;
    if (record.type == kTypeOpt) {
      if (i < before) return false;
      extended_rcode = record.ttl >> 24;
      // What stands behind an OPT is not worth moving: pointers into it would have to follow.
      answer.additional = static_cast<uint16_t>(i - before);
      return true;
    }
    answer.records_end = record.end;
  }
  return true;
}

}  // namespace

void fill_request(const Query& query, bool tcp, ForwardRequest& request) {
  request.id = query.id;
  request.flags = query.flags;
  request.type = query.type;
  request.edns = query.edns.present;
  request.dnssec_ok = query.edns.dnssec_ok;
  request.limit = static_cast<uint16_t>(tcp ? kMaxTcpBytes : query.udp_limit());
  request.question_bytes = static_cast<uint16_t>(query.question_end - kHeaderBytes);
  memcpy(request.question, query.data + kHeaderBytes, request.question_bytes);
  request.origin.tcp = tcp;
}

std::string forward_key(const ForwardRequest& request) {
  std::string key(reinterpret_cast<const char*>(request.question), request.question_bytes);
  for (size_t i = 0; i + 4 < key.size(); i++) key[i] = static_cast<char>(lower(static_cast<uint8_t>(key[i])));
  key.push_back(static_cast<char>((request.flags & (kFlagCd | kFlagAd)) | (request.edns ? 1 : 0) |
                                  (request.dnssec_ok ? 2 : 0) | (request.origin.tcp ? 4 : 0)));
  return key;
}

size_t write_upstream_query(const ForwardRequest& request, uint16_t id, uint8_t* out) {
  memset(out, 0, kHeaderBytes);
  put16(out, id);
  put16(out + 2, static_cast<uint16_t>(kFlagRd | (request.flags & (kFlagCd | kFlagAd))));
  out[5] = 1;
  memcpy(out + kHeaderBytes, request.question, request.question_bytes);
  size_t n = kHeaderBytes + request.question_bytes;
  if (request.edns) {
    out[11] = 1;
    n += write_opt(request.dnssec_ok, out + n);
  }
  return n;
}

Judged judge_answer(const ForwardRequest& request, uint16_t id, const uint8_t* data, size_t size,
                    UpstreamAnswer& answer) {
  if (size < kHeaderBytes || get16(data) != id) return Judged::kBogus;
  const uint16_t flags = get16(data + 2);
  if (!(flags & kFlagQr) || (flags & 0x7800)) return Judged::kBogus;
  const unsigned rcode = flags & 15;
  // Servers that cannot read the question may leave it out of their refusal.
  if (get16(data + 4) == 0 && (rcode == kFormErr || rcode == kNotImp || rcode == kRefused || rcode == kServFail))
    return Judged::kFailed;
  if (!same_question(request, data, size)) return Judged::kBogus;
  answer.data = data;
  answer.flags = flags;
  answer.truncated = flags & kFlagTc;
  answer.records_begin = kHeaderBytes + request.question_bytes;
  answer.answers = get16(data + 6);
  answer.authority = get16(data + 8);
  answer.additional = get16(data + 10);
  unsigned extended = 0;
  if (!read_records(size, answer, extended)) {
    if (!answer.truncated) return Judged::kFailed;
    answer.records_end = answer.records_begin;
    answer.answers = answer.authority = answer.additional = 0;
  }
  if (extended != 0 || rcode == kFormErr || rcode == kNotImp || rcode == kRefused || rcode == kServFail)
    return Judged::kFailed;
  return Judged::kGood;
}

namespace {

size_t write_head(uint16_t flags, const ForwardRequest& request, uint8_t* out) {
  put16(out, request.id);
  put16(out + 2, static_cast<uint16_t>(kFlagQr | kFlagRa | flags | (request.flags & (kFlagRd | kFlagCd))));
  put16(out + 4, 1);
  memset(out + 6, 0, 6);
  memcpy(out + kHeaderBytes, request.question, request.question_bytes);
  return kHeaderBytes + request.question_bytes;
}

size_t write_tail(const ForwardRequest& request, size_t n, uint8_t* out) {
  if (!request.edns) return n;
  put16(out + 10, static_cast<uint16_t>(get16(out + 10) + 1));
  return n + write_opt(request.dnssec_ok, out + n);
}

}  // namespace

size_t write_client_answer(const UpstreamAnswer& answer, const ForwardRequest& request, uint8_t* out) {
  uint16_t flags = answer.flags & (kFlagAa | kFlagTc | kFlagAd | 15);
  const size_t records = answer.records_end - answer.records_begin;
  const size_t whole = kHeaderBytes + request.question_bytes + records + (request.edns ? kOptBytes : 0);
  if (whole > request.limit) return write_tail(request, write_head(flags | kFlagTc, request, out), out);
  size_t n = write_head(flags, request, out);
  memcpy(out + n, answer.data + answer.records_begin, records);
  put16(out + 6, answer.answers);
  put16(out + 8, answer.authority);
  put16(out + 10, answer.additional);
  return write_tail(request, n + records, out);
}

size_t write_client_failure(Rcode rcode, const ForwardRequest& request, uint8_t* out) {
  return write_tail(request, write_head(rcode, request, out), out);
}

}  // namespace fairlead::dns
