#include "state/address_records.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace fairlead {
namespace {

namespace fs = std::filesystem;

template <class Record>
std::string error_of(Result<Record> (*decode)(const Json&, const std::string&), const std::string& text) {
  auto record = decode(Json::parse(text), "x.json");
  return record ? "" : record.error().message;
}

template <class Record>
void round_trips(Result<Record> (*decode)(const Json&, const std::string&), const std::string& text) {
  Json json = Json::parse(text);
  auto record = decode(json, "x.json");
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(Json::parse(encode(*record)), json);
}

TEST(AddressRecords, RoundTripAndKeepWhatTheyDoNotKnow) {
  round_trips(decode_reservation,
              R"({"apiVersion":1,"network":"a","name":"db","addresses":["10.32.0.50","fd32::50"],"why":{"x":[1]}})");
  round_trips(decode_sticky, R"({"apiVersion":1,"network":"a","name":"web","addresses":["10.32.0.5"],"for":"86400s",
    "released":1790000000,"later":1})");
}

TEST(AddressRecords, NameTheFieldThatIsWrong) {
  EXPECT_NE(error_of(decode_reservation, R"({"network":"a","name":"db","addresses":[]})").find("/addresses"),
            std::string::npos);
  for (const char* bad : {R"({"network":"a","name":"db","addresses":["10.0.0.1","10.0.0.2"]})",
                          R"({"network":"a","name":"../x","addresses":["10.0.0.1"]})",
                          R"({"network":"a","name":"db","addresses":["10.0.0.1/24"]})"})
    EXPECT_NE(error_of(decode_reservation, bad), "") << bad;
  for (const char* bad : {R"({"network":"a","name":"w","addresses":["x"],"for":"1h"})",
                          R"({"network":"a","name":"w","addresses":[],"for":"soon"})",
                          R"({"network":"a","name":"w","addresses":[],"for":"1h","released":-1})",
                          R"({"network":"a","name":"w","addresses":[],"for":"1h","released":1e30})"})
    EXPECT_NE(error_of(decode_sticky, bad), "") << bad;
}

TEST(AddressRecords, ANameIsInSmallLettersAndFitForAFile) {
  EXPECT_EQ(address_name("Web-1"), "web-1");
  EXPECT_EQ(address_name("web.default"), "web.default");
  EXPECT_EQ(address_name("../x"), "");
  EXPECT_EQ(address_name(std::string(64, 'a')), "");
  EXPECT_EQ(address_name("_srv"), "");
}

class ReservationTest : public testing::Test {
 protected:
  ReservationTest() {
    char name[] = "/tmp/reservation-test-XXXXXX";
    paths_.state = mkdtemp(name);
  }
  ~ReservationTest() override { fs::remove_all(paths_.state); }
  void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
  Paths paths_;
};

TEST_F(ReservationTest, ADocumentInAnothersPlaceIsRefused) {
  fs::create_directories(paths_.reservations("a"));
  write(paths_.reservation("a", "db"), R"({"network":"a","name":"other","addresses":["10.0.0.9"]})");
  EXPECT_FALSE(load_reservation(paths_, "a", "db"));
  EXPECT_FALSE(*load_reservation(paths_, "a", "none"));
  EXPECT_FALSE(load_reservation(paths_, "a", "../db"));
}

}  // namespace
}  // namespace fairlead
