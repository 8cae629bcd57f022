// JSON from outside: strict (RFC 8259 only, no duplicate keys, limited size and depth), every error with the
// place: "networks/appnet.json: /vni: expected a number from 1 to 16777215, found \"x\"".
//
// nlohmann's own reader would take the last of two equal keys, turn 70000 into a uint16, and crash on copying a
// document 100,000 levels deep; hence the wrapper. Only .cc files include <nlohmann/json.hpp>.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/file.h"
#include "base/result.h"

namespace fairlead {

using Json = nlohmann::json;

struct JsonLimits {
  size_t bytes = kMaxDocumentBytes;
  unsigned depth = 32;
};

// source names the text in errors (a path, "stdin"). A byte order mark is refused, too.
Result<Json> parse_json(std::string_view text, std::string_view source, JsonLimits limits = {});

// Invalid UTF-8 in strings becomes U+FFFD instead of an exception.
std::string dump_json(const Json& value, int indent = -1);

// Reads one JSON object field by field. The first problem is kept and all later reads are no-ops, so a decoder is
// a plain list of fields followed by one finish(). Fields that were not read can be had as extra().
//
//   ObjectReader r(json, "networks/appnet.json");
//   r.required("name", network.name);
//   r.optional("mtu", network.mtu, 0, 65535);
//   FL_CHECK(r.finish());
class ObjectReader {
 public:
  // object must outlive the reader.
  ObjectReader(const Json& object, std::string source);
  ~ObjectReader();
  ObjectReader(const ObjectReader&) = delete;
  ObjectReader& operator=(const ObjectReader&) = delete;

  // Absent or null leaves the value as it is for optional(), and is a problem for required().
  void required(std::string_view key, std::string& value);
  void optional(std::string_view key, std::string& value);
  void optional(std::string_view key, bool& value);
  void required(std::string_view key, uint32_t& value, uint32_t min, uint32_t max);
  void optional(std::string_view key, uint32_t& value, uint32_t min, uint32_t max);
  void optional(std::string_view key, std::vector<std::string>& values, size_t max_items = 1024);
  void optional(std::string_view key, std::vector<std::pair<std::string, std::string>>& map, size_t max_items = 256);
  // Calls read for the object at key, with a reader whose place is key; false when absent.
  bool object(std::string_view key, const std::function<void(ObjectReader&)>& read);
  // Calls read for every element of the array of objects at key.
  void each(std::string_view key, const std::function<void(ObjectReader&)>& read, size_t max_items = 1024);

  bool has(std::string_view key) const;
  const Json* find(std::string_view key);  // marks it as read; nullptr when absent or null
  // Adds a problem of the caller's own: problem("vni", "already used by appnet").
  void problem(std::string_view key, std::string_view what);
  bool ok() const { return !*error_; }
  Result<void> finish() const;
  // What was not read, as JSON text; empty when nothing is left. Writers put it back (unknown fields are kept).
  std::string extra() const;

 private:
  ObjectReader(const Json& object, std::string source, std::string pointer, std::shared_ptr<std::optional<Error>>);
  void expected(std::string_view key, std::string_view what, const Json& found);
  const Json* require(std::string_view key);

  const Json& object_;
  std::string source_;
  std::string pointer_;
  std::shared_ptr<std::optional<Error>> error_;
  std::vector<std::string> seen_;
};

}  // namespace fairlead
