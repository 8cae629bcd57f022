#include "dns-sidecar/wire.h"

#include <gtest/gtest.h>

#include <set>

#include "dns-sidecar/testing.h"

namespace fairlead::dns {
namespace {

using testing::ask;
using testing::Bytes;

Parsed parse(const Bytes& bytes, Query& query) { return parse_query(bytes.data(), bytes.size(), query); }
Parsed parse(const Bytes& bytes) {
  Query query;
  return parse(bytes, query);
}

TEST(Wire, ReadsANameInAnyCaseAndKeepsItsLabelsApart) {
  Query q;
  Bytes bytes = ask("WeB.Net1", kTypeA, true);
  ASSERT_EQ(parse(bytes, q), Parsed::kOk);
  EXPECT_EQ(q.name.view(), std::string_view("\x03web\x04net1"));
  EXPECT_EQ(q.name.labels, 2);
  EXPECT_EQ(q.name.tail(1), std::string_view("\x04net1"));
  EXPECT_TRUE(q.edns.present);
  EXPECT_EQ(q.udp_limit(), 1232u);
  // One label of eight bytes with a dot in it is another name (DNS-029).
  Bytes dotted = ask("webxnet1", kTypeA);
  dotted[16] = '.';
  ASSERT_EQ(parse(dotted, q), Parsed::kOk);
  EXPECT_EQ(q.name.labels, 1);
  EXPECT_FALSE(q.name.ends_with(std::string_view("\x04net1"), 1));
}

TEST(Wire, NamesUpTo255BytesAreLegalAndNotOneMore) {
  std::string longest =
      std::string(63, 'a') + "." + std::string(63, 'b') + "." + std::string(63, 'c') + "." + std::string(61, 'd');
  Query q;
  ASSERT_EQ(parse(ask(longest, kTypeA), q), Parsed::kOk);
  EXPECT_EQ(q.name.length, 254);
  EXPECT_EQ(parse(ask(longest + "d", kTypeA)), Parsed::kFormatError);
  std::string labels = "a";
  for (int i = 1; i < 127; i++) labels += ".a";
  ASSERT_EQ(parse(ask(labels, kTypeA), q), Parsed::kOk);
  EXPECT_EQ(q.name.labels, 127);
  EXPECT_EQ(parse(ask(labels + ".a", kTypeA)), Parsed::kFormatError);
}

TEST(Wire, PointersAndUnknownLabelTypesInTheQuestionAreErrors) {
  for (int byte : {0x40, 0x80, 0xc0, 0xff}) {
    Bytes q = ask("web", kTypeA);
    q[12] = static_cast<uint8_t>(byte);
    EXPECT_EQ(parse(q), Parsed::kFormatError) << byte;
  }
}

TEST(Wire, EveryCutMessageIsAnErrorOrSilence) {
  Bytes whole = ask("web.net1", kTypeA, true);
  for (size_t n = 0; n < whole.size(); n++) {
    Bytes cut(whole.begin(), whole.begin() + static_cast<long>(n));
    EXPECT_EQ(parse(cut), n < kHeaderBytes ? Parsed::kDrop : Parsed::kFormatError) << n;
  }
  EXPECT_EQ(parse(whole), Parsed::kOk);
}

TEST(Wire, CountsThatLieAreErrors) {
  for (size_t count : {6u, 8u, 10u}) {
    Bytes q = ask("web", kTypeA);
    q[count + 1] = 1;
    EXPECT_EQ(parse(q), Parsed::kFormatError) << count;
  }
  Bytes two = ask("web", kTypeA);
  two[5] = 2;
  EXPECT_EQ(parse(two), Parsed::kFormatError);
  Bytes none = ask("web", kTypeA);
  none[5] = 0;
  EXPECT_EQ(parse(none), Parsed::kFormatError);
}

TEST(Wire, OptMustBeSoleRootOwnedAndWhole) {
  Bytes good = ask("web", kTypeA, true);
  size_t opt = good.size() - kOptBytes;
  Bytes twice = good;
  twice.insert(twice.end(), good.end() - kOptBytes, good.end());
  twice[11] = 2;
  EXPECT_EQ(parse(twice), Parsed::kFormatError);
  Bytes owned = good;
  owned.erase(owned.begin() + static_cast<long>(opt));
  owned.insert(owned.begin() + static_cast<long>(opt), {1, 'x', 0});
  EXPECT_EQ(parse(owned), Parsed::kFormatError);
  Bytes option = good;
  option[opt + 10] = 6;
  for (int b : {0, 10, 0, 3, 1, 2}) option.push_back(static_cast<uint8_t>(b));
  EXPECT_EQ(parse(option), Parsed::kFormatError) << "option longer than RDLENGTH";
  option[opt + 14] = 2;
  EXPECT_EQ(parse(option), Parsed::kOk);
  Bytes in_answer = good;
  std::swap(in_answer[7], in_answer[11]);
  EXPECT_EQ(parse(in_answer), Parsed::kFormatError);
  Bytes version = good;
  version[opt + 6] = 1;
  EXPECT_EQ(parse(version), Parsed::kBadVersion);
}

TEST(Wire, ResponsesAreDroppedAndOtherOpcodesNotImplemented) {
  Bytes response = ask("web", kTypeA);
  response[2] |= 0x80;
  EXPECT_EQ(parse(response), Parsed::kDrop);
  Bytes notify = ask("web", kTypeA);
  notify[2] = 4 << 3;
  EXPECT_EQ(parse(notify), Parsed::kNotImplemented);
}

TEST(Wire, SkippingACompressedNameNeverFollowsIt) {
  const uint8_t self[] = {0xc0, 0x00};
  EXPECT_EQ(skip_name(self, 2, 0), 2u);
  EXPECT_EQ(skip_name(self, 1, 0), 0u);
  std::vector<uint8_t> endless(400, 1);
  EXPECT_EQ(skip_name(endless.data(), endless.size(), 0), 0u);
}

TEST(Wire, TextAndWireFormAgree) {
  EXPECT_EQ(wire_name("Web_1.b"), std::string("\x05web_1\x01"
                                              "b"));
  EXPECT_FALSE(wire_name("a..b"));
  EXPECT_FALSE(wire_name("a b"));
  EXPECT_EQ(name_text(std::string_view("\x05"
                                       "a.b\\\x01\x01z",
                                       8)),
            "a\\.b\\\\\\001.z");
  EXPECT_EQ(name_text(""), ".");
}

TEST(Wire, HashesOfEveryLengthDiffer) {
  std::set<uint64_t> seen;
  for (size_t n = 0; n <= 255; n++) seen.insert(hash_bytes(std::string(n, 'a')));
  for (int i = 0; i < 1000; i++) seen.insert(hash_bytes("name" + std::to_string(i)));
  EXPECT_EQ(seen.size(), 256u + 1000u);
}

}  // namespace
}  // namespace fairlead::dns
