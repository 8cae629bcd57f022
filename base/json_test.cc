#include "base/json.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace fairlead {
namespace {

std::string error_of(std::string_view text) {
  auto r = parse_json(text, "doc.json");
  return r ? "" : r.error().message;
}

TEST(Json, RefusesDuplicateKeysAndSaysWhich) {
  EXPECT_NE(error_of(R"({"a":1,"b":{"x":1,"x":2}})").find("\"x\" stands twice"), std::string::npos);
  EXPECT_EQ(error_of(R"([{"a":1},{"a":1}])"), "");
}

TEST(Json, RefusesDepthSizeMarksAndGarbage) {
  EXPECT_NE(error_of(std::string(100000, '[')).find("nested deeper than 32"), std::string::npos);
  EXPECT_NE(error_of("\"" + std::string(2 << 20, 'x') + "\"").find("longer than the limit"), std::string::npos);
  EXPECT_NE(error_of("\xef\xbb\xbf{}").find("byte order mark"), std::string::npos);
  EXPECT_NE(error_of(std::string_view("{}\0x", 4)).find("NUL"), std::string::npos);
  for (const char* bad : {"", "{", "{}x", "{'a':1}", "{\"a\":01}", "nul", "\"\\ud800\"", "\"\xff\""})
    EXPECT_NE(error_of(bad).find("doc.json: not valid JSON"), std::string::npos) << bad;
}

TEST(ObjectReader, NamesFilePlaceExpectationAndFinding) {
  Json json = Json::parse(R"({"name":"x","health":{"interval":-1},"ports":[{"port":80},{"port":70000}]})");
  ObjectReader r(json, "services/web.json");
  uint32_t port = 0;
  r.each("ports", [&](ObjectReader& item) { item.required("port", port, 1, 65535); });
  EXPECT_EQ(r.finish().error().message,
            "services/web.json: /ports/1/port: expected a whole number from 1 to 65535, found 70000");
  uint32_t untouched = 7;
  r.optional("missing", untouched, 0, 9);
  EXPECT_EQ(untouched, 7u);
}

TEST(ObjectReader, NumbersAreNotConverted) {
  for (const char* bad : {"-1", "1.5", "true", "\"1\"", "18446744073709551616", "65536"}) {
    Json json = Json::parse(std::string("{\"n\":") + bad + "}");
    ObjectReader r(json, "s");
    uint32_t n = 0;
    r.required("n", n, 0, 65535);
    EXPECT_FALSE(r.finish()) << bad;
  }
}

TEST(ObjectReader, KeepsWhatItDoesNotKnow) {
  Json json = Json::parse(R"({"name":"x","future":{"a":[1]}})");
  ObjectReader r(json, "s");
  std::string name;
  r.required("name", name);
  EXPECT_EQ(r.extra(), R"({"future":{"a":[1]}})");
}

TEST(ObjectReader, AnythingButAnObjectIsAnErrorNotACrash) {
  for (const char* text : {"[]", "null", "3", "\"x\""}) {
    Json json = Json::parse(text);
    ObjectReader r(json, "s");
    std::string name;
    r.required("name", name);
    EXPECT_FALSE(r.finish()) << text;
    EXPECT_EQ(r.extra(), "");
  }
}

}  // namespace
}  // namespace fairlead
