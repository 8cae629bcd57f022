#include "cluster/etcd_codec.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cluster/encoding.h"

namespace fairlead::cluster {
namespace {

TEST(EtcdCodec, WritesWhatTheGatewayTakes) {
  EXPECT_EQ(dump_json(encode(EtcdRange{"a", "b", 5, 9})),
            R"({"key":"YQ==","limit":"5","range_end":"Yg==","revision":"9"})");
  EXPECT_EQ(dump_json(encode_watch({"a", "b"}, 7)),
            R"({"create_request":{"key":"YQ==","progress_notify":true,"range_end":"Yg==","start_revision":"7"}})");
  Json txn = encode({{EtcdCompare::kAbsent, "a"},
                     {EtcdCompare::kModifiedAt, "b", "", 4},
                     {EtcdCompare::kNoneModifiedAfter, "c", "d", 4}},
                    {{"a", "v", 3}, {"b", std::nullopt}});
  EXPECT_EQ(dump_json(txn["compare"]),
            R"([{"create_revision":"0","key":"YQ==","result":"EQUAL","target":"CREATE"},)"
            R"({"key":"Yg==","mod_revision":"4","result":"EQUAL","target":"MOD"},)"
            R"({"key":"Yw==","mod_revision":"5","range_end":"ZA==","result":"LESS","target":"MOD"}])");
  EXPECT_EQ(dump_json(txn["success"]), R"([{"request_put":{"key":"YQ==","lease":"3","value":"dg=="}},)"
                                       R"({"request_delete_range":{"key":"Yg=="}}])");
}

TEST(EtcdCodec, ReadsWhatIsLeftOutAsZero) {
  Json json = Json::parse(R"({"header":{"revision":"12"},"kvs":[{"key":"YQ==","mod_revision":"3"}]})");
  auto range = decode_range(json);
  ASSERT_TRUE(range) << range.error().message;
  ASSERT_EQ(range->documents.size(), 1u);
  EXPECT_EQ(range->documents[0].key, "a");
  EXPECT_EQ(range->documents[0].value, "");
  EXPECT_EQ(range->documents[0].modified, 3);
  EXPECT_EQ(range->revision, 12);
  EXPECT_FALSE(range->more);
}

TEST(EtcdCodec, RefusesAnswersThatAreNone) {
  for (const char* bad :
       {"{}", R"({"header":{}})", R"({"header":{"revision":"x"}})", R"({"header":{"revision":"1"},"kvs":[7]})",
        R"({"header":{"revision":"1"},"kvs":[{}]})", R"({"header":{"revision":"1"},"kvs":[{"key":"!"}]})"})
    EXPECT_FALSE(decode_range(Json::parse(bad))) << bad;
}

TEST(EtcdCodec, ReadsAWatchLine) {
  auto line = decode_watch_line(
      R"({"result":{"header":{"revision":"9"},"events":[{"kv":{"key":"YQ==","value":"dg==","mod_revision":"8"}},)"
      R"({"type":"DELETE","kv":{"key":"Yg==","mod_revision":"9"}}]}})");
  ASSERT_TRUE(line) << line.error().message;
  ASSERT_EQ(line->events.size(), 2u);
  EXPECT_EQ(line->events[0].value, "v");
  EXPECT_EQ(line->events[0].revision, 8);
  EXPECT_FALSE(line->events[1].value);
  EXPECT_EQ(line->revision, 9);
  EXPECT_TRUE(decode_watch_line(R"({"result":{"header":{"revision":"9"},"created":true}})")->created);
  EXPECT_TRUE(decode_watch_line(R"({"result":{"canceled":true,"compact_revision":"5"}})")->canceled);
  EXPECT_TRUE(decode_watch_line(R"({"result":{"compact_revision":"5"}})")->canceled);
}

TEST(EtcdCodec, RefusesLinesThatAreNoWatch) {
  for (const char* bad :
       {"", "{", "[]", R"({"error":{"message":"x"}})", R"({"result":{"events":[1]}})",
        R"({"result":{"events":[{"kv":{}}]}})", R"({"result":{"events":[{"type":"OTHER","kv":{"key":"YQ=="}}]}})"})
    EXPECT_FALSE(decode_watch_line(bad)) << bad;
}

TEST(EtcdCodec, APrefixEndsBehindAllThatBeginsWithIt) {
  EXPECT_EQ(prefix_end("/fairlead/v1/"), "/fairlead/v10");
  EXPECT_LT(std::string("/fairlead/v1/zzz"), prefix_end("/fairlead/v1/"));
}

}  // namespace
}  // namespace fairlead::cluster
