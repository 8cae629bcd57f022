#include "lb/http_head.h"

#include <gtest/gtest.h>

#include <string>

namespace fairlead::lb {
namespace {

TEST(ResponseHead, LB29IsReadWithItsStatus) {
  auto r = read_response_head("HTTP/1.1 204 No Content\r\nServer: x\r\nX-Empty:\r\n\r\nbody");
  EXPECT_EQ(r.state, HeadResult::kComplete);
  EXPECT_EQ(r.status, 204);
  EXPECT_EQ(r.size, 48u);
  EXPECT_EQ(read_response_head("HTTP/1.0 200 OK\r\n\r\n").status, 200);
  EXPECT_EQ(read_response_head("HTTP/1.1 503\r\n\r\n").status, 503);                                 // no reason phrase
  EXPECT_EQ(read_response_head("HTTP/1.0 200 OK\r\nContent-Type: text/plain\n\nbody").status, 200);  // busybox CGI
}

TEST(ResponseHead, OfEveryPrefixIsIncomplete) {
  const std::string head = "HTTP/1.1 200 OK\r\nServer: x\r\n\r\n";
  for (size_t n = 0; n < head.size(); n++)
    EXPECT_EQ(read_response_head(std::string_view(head).substr(0, n)).state, HeadResult::kIncomplete) << n;
}

TEST(ResponseHead, IsRefusedWhenItIsNotHttp) {
  for (std::string bad :
       {"SSH-2.0-OpenSSH\r\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.2 200 OK\r\n\r\n", "http/1.1 200 OK\r\n\r\n", "\r\n",
        "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 600 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nServer x\r\n\r\n", "HTTP/1.1 200 OK\r\nServer : x\r\n\r\n",
        "HTTP/1.1 200 OK\r\n folded\r\n\r\n", "HTTP/1.1 200 OK\r\n: x\r\n\r\n", "HTTP/1.1 200 OK\r\nA: x\ry: z\r\n\r\n",
        "HTTP/1.1 200 \x01\r\n\r\n"})
    EXPECT_EQ(read_response_head(bad).state, HeadResult::kMalformed) << bad;
  EXPECT_EQ(read_response_head(std::string("HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", 25)).state, HeadResult::kMalformed);
}

TEST(ResponseHead, HasALimit) {
  std::string head = "HTTP/1.1 200 OK\r\nA: " + std::string(kMaxHeadBytes, 'x');
  EXPECT_EQ(read_response_head(head).state, HeadResult::kMalformed);
  EXPECT_EQ(read_response_head(head.substr(0, kMaxHeadBytes)).state, HeadResult::kIncomplete);
}

}  // namespace
}  // namespace fairlead::lb
