#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "lb/http_head.h"

// Whatever a backend sends, a head is at most as long as what was received and its status is one of HTTP's.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto head = fairlead::lb::read_response_head(text);
  if (head.state == fairlead::lb::HeadResult::kComplete && (head.size > size || head.status < 100 || head.status > 599))
    std::abort();
  return 0;
}
