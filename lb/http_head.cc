#include "lb/http_head.h"

namespace fairlead::lb {
namespace {

bool digit(char c) { return c >= '0' && c <= '9'; }

// RFC 9110 section 5.6.2
bool token_char(char c) {
  if (digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  return std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool text_char(char c) {
  auto byte = static_cast<unsigned char>(c);
  return byte == '\t' || (byte >= ' ' && byte != 0x7f);
}

bool all(std::string_view text, bool (*allowed)(char)) {
  for (char c : text)
    if (!allowed(c)) return false;
  return true;
}

HeadResult malformed(const char* problem) {
  HeadResult r;
  r.state = HeadResult::kMalformed;
  r.problem = problem;
  return r;
}

// "HTTP/1.1 200 OK"; the status, 0 when malformed.
int read_status_line(std::string_view line) {
  if (line.size() < 12 || (line.substr(0, 9) != "HTTP/1.1 " && line.substr(0, 9) != "HTTP/1.0 ")) return 0;
  if (!digit(line[9]) || !digit(line[10]) || !digit(line[11])) return 0;
  if (line.size() > 12 && line[12] != ' ') return 0;
  if (!all(line.substr(12), text_char)) return 0;
  int status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
  return status >= 100 && status <= 599 ? status : 0;
}

bool is_field_line(std::string_view line) {
  size_t colon = line.find(':');
  if (colon == line.npos || colon == 0) return false;
  return all(line.substr(0, colon), token_char) && all(line.substr(colon + 1), text_char);
}

}  // namespace

HeadResult read_response_head(std::string_view received) {
  // Another protocol's greeting is malformed with its first bytes; waiting for more would end in a time-out.
  static constexpr std::string_view kStart = "HTTP/1.";
  size_t known = received.size() < kStart.size() ? received.size() : kStart.size();
  if (received.substr(0, known) != kStart.substr(0, known)) return malformed("not an HTTP/1 response");
  std::string_view rest = received.substr(0, kMaxHeadBytes);
  HeadResult result;
  for (bool first = true;; first = false) {
    size_t end = rest.find('\n');
    if (end == rest.npos)
      return received.size() > kMaxHeadBytes ? malformed("the head is larger than 16384 bytes") : HeadResult{};
    std::string_view line = rest.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    rest.remove_prefix(end + 1);
    if (first) {
      result.status = read_status_line(line);
      if (result.status == 0) return malformed("bad status line");
    } else if (line.empty()) {
      result.state = HeadResult::kComplete;
      result.size = static_cast<size_t>(rest.data() - received.data());
      return result;
    } else if (!is_field_line(line)) {
      return malformed("bad header line");
    }
  }
}

}  // namespace fairlead::lb
