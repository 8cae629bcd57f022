// The messages to and from the host's resolvers: EDNS is hop by hop (RFC 6891 section 6), so options of one side never
// reach the other; everything else passes as it is. Pure, reads hostile input. Threads: stateless.
#pragma once

#include <string>

#include "dns-sidecar/forward.h"

namespace fairlead::dns {

inline constexpr size_t kMaxUpstreamQuery = kHeaderBytes + kMaxNameBytes + 4 + kOptBytes;

// What makes two questions the same to a resolver: name without case, type, CD, AD, EDNS and DO, transport.
std::string forward_key(const ForwardRequest& request);

// RD set, CD and AD as asked, an OPT if the asker had one. Returns its length; out has kMaxUpstreamQuery bytes.
size_t write_upstream_query(const ForwardRequest& request, uint16_t id, uint8_t* out);

enum class Judged {
  kGood,    // NOERROR, NXDOMAIN, and every other final word
  kBogus,   // not an answer to this question: somebody else's, or a forgery; keep waiting (RFC 5452 section 9.1)
  kFailed,  // SERVFAIL, REFUSED, NOTIMP, FORMERR or unreadable: the next resolver may know better
};
struct UpstreamAnswer {
  const uint8_t* data = nullptr;
  size_t records_begin = 0, records_end = 0;  // without the OPT and what stands behind it
  uint16_t flags = 0, answers = 0, authority = 0, additional = 0;
  bool truncated = false;
};
Judged judge_answer(const ForwardRequest& request, uint16_t id, const uint8_t* data, size_t size,
                    UpstreamAnswer& answer);

// The answer as this asker gets it: own id, case and OPT; cut to the question and TC when it is too large for him.
// out has room for request.limit bytes (at least kPlainUdpBytes).
size_t write_client_answer(const UpstreamAnswer& answer, const ForwardRequest& request, uint8_t* out);
size_t write_client_failure(Rcode rcode, const ForwardRequest& request, uint8_t* out);

}  // namespace fairlead::dns
