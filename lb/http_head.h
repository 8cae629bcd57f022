// The head of an HTTP/1 response, read strictly, as a health check needs it (RFC 9112 sections 4 and 5). Pure.
#pragma once

#include <cstddef>
#include <string_view>

namespace fairlead::lb {

inline constexpr size_t kMaxHeadBytes = 16384;

struct HeadResult {
  enum { kIncomplete, kComplete, kMalformed } state = kIncomplete;
  int status = 0;            // of a complete head: 100 to 599
  size_t size = 0;           // bytes of a complete head with its empty line
  const char* problem = "";  // of a malformed one
};

// received: everything so far, from the first byte. More than kMaxHeadBytes without an end is malformed. Refused
// besides what the grammar refuses: line folding, NUL and other control characters, white space before a colon. A line
// may end with LF alone (RFC 9112 section 2.2 allows it): busybox' httpd hands on what its CGI programs print, and
// nothing is passed on from here that could be read in two ways.
HeadResult read_response_head(std::string_view received);

}  // namespace fairlead::lb
