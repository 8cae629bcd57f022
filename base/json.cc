#include "base/json.h"

#include <algorithm>
#include <vector>

#include <nlohmann/json.hpp>

namespace fairlead {
namespace {

// Builds the value while it is read, and stops at the first thing that is not wanted. The library's own parser would
// take the last of two equal keys, and what it builds has no limit of depth: destruction recurses.
class Builder : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(unsigned depth) : limit_(depth) {}
  std::string problem;
  Json root;

  bool null() override { return add(Json()); }
  bool boolean(bool v) override { return add(Json(v)); }
  bool number_integer(number_integer_t v) override { return add(Json(v)); }
  bool number_unsigned(number_unsigned_t v) override { return add(Json(v)); }
  bool number_float(number_float_t v, const string_t&) override { return add(Json(v)); }
  bool string(string_t& v) override { return add(Json(std::move(v))); }
  bool binary(binary_t&) override { return false; }  // not in JSON text
  bool start_object(std::size_t) override { return enter(Json::object()); }
  bool start_array(std::size_t) override { return enter(Json::array()); }
  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }
  bool key(string_t& name) override {
    if (open_.back().value.contains(name)) {
      problem = "the key \"" + name.substr(0, 64) + "\" stands twice in one object";
      return false;
    }
    open_.back().key = std::move(name);
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& e) override {
    std::string_view text = e.what();
    auto end = text.find("] ");
    problem = std::string(end == text.npos ? text : text.substr(end + 2)).substr(0, 240);
    return false;
  }

 private:
  struct Open {
    Json value;
    std::string key;  // of the member that comes next
  };

  bool add(Json value) {
    if (open_.empty())
      root = std::move(value);
    else if (open_.back().value.is_array())
      open_.back().value.push_back(std::move(value));
    else
      open_.back().value.emplace(std::move(open_.back().key), std::move(value));
    return true;
  }
  bool enter(Json value) {
    if (open_.size() >= limit_) {
      problem = "nested deeper than " + std::to_string(limit_) + " levels";
      return false;
    }
    open_.push_back({std::move(value), ""});
    return true;
  }
  bool leave() {
    Json value = std::move(open_.back().value);
    open_.pop_back();
    return add(std::move(value));
  }
  unsigned limit_;
  std::vector<Open> open_;
};

std::string shorten(const Json& value) {
  if (value.is_structured()) return value.is_array() ? "an array" : "an object";
  std::string text = dump_json(value);
  return text.size() > 60 ? text.substr(0, 57) + "..." : text;
}

}  // namespace

Result<Json> parse_json(std::string_view text, std::string_view source, JsonLimits limits) {
  std::string place(source);
  if (text.size() > limits.bytes)
    return fail(place + ": longer than the limit of " + std::to_string(limits.bytes) + " bytes");
  if (text.substr(0, 3) == "\xef\xbb\xbf") return fail(place + ": starts with a byte order mark; remove it");
  // The library takes a NUL byte for the end of the text and would not look at what follows.
  if (auto nul = text.find('\0'); nul != text.npos)
    return fail(place + ": not valid JSON: a NUL byte at offset " + std::to_string(nul));
  Builder builder(limits.depth);
  bool good = false;
  try {
    good = Json::sax_parse(text.begin(), text.end(), &builder);
  } catch (const std::exception& e) {
    builder.problem = e.what();
  }
  if (!good) return fail(place + ": not valid JSON: " + builder.problem);
  return std::move(builder.root);
}

std::string dump_json(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

ObjectReader::ObjectReader(const Json& object, std::string source)
    : ObjectReader(object, std::move(source), "", std::make_shared<std::optional<Error>>()) {
  if (!object_.is_object()) *error_ = Error{source_ + ": expected a JSON object, found " + shorten(object_)};
}

ObjectReader::ObjectReader(const Json& object, std::string source, std::string pointer,
                           std::shared_ptr<std::optional<Error>> error)
    : object_(object), source_(std::move(source)), pointer_(std::move(pointer)), error_(std::move(error)) {}

ObjectReader::~ObjectReader() = default;

void ObjectReader::problem(std::string_view key, std::string_view what) {
  if (*error_) return;
  *error_ = Error{source_ + ": " + pointer_ + "/" + std::string(key) + ": " + std::string(what)};
}

void ObjectReader::expected(std::string_view key, std::string_view what, const Json& found) {
  problem(key, "expected " + std::string(what) + ", found " + shorten(found));
}

bool ObjectReader::has(std::string_view key) const {
  if (!object_.is_object()) return false;
  auto it = object_.find(std::string(key));
  return it != object_.end() && !it->is_null();
}

const Json* ObjectReader::find(std::string_view key) {
  if (*error_ || !object_.is_object()) return nullptr;
  seen_.emplace_back(key);
  auto it = object_.find(seen_.back());
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

const Json* ObjectReader::require(std::string_view key) {
  const Json* value = find(key);
  if (!value) problem(key, "is missing");
  return value;
}

void ObjectReader::required(std::string_view key, std::string& value) {
  if (require(key)) optional(key, value);
}

void ObjectReader::optional(std::string_view key, std::string& value) {
  const Json* found = find(key);
  if (!found) return;
  if (!found->is_string()) return expected(key, "a string", *found);
  value = found->get_ref<const std::string&>();
  if (value.find('\0') != value.npos) problem(key, "has a NUL byte");
}

void ObjectReader::optional(std::string_view key, bool& value) {
  const Json* found = find(key);
  if (!found) return;
  if (!found->is_boolean()) return expected(key, "true or false", *found);
  value = found->get<bool>();
}

void ObjectReader::required(std::string_view key, uint32_t& value, uint32_t min, uint32_t max) {
  if (require(key)) optional(key, value, min, max);
}

void ObjectReader::optional(std::string_view key, uint32_t& value, uint32_t min, uint32_t max) {
  const Json* found = find(key);
  if (!found) return;
  // Numbers that were parsed are unsigned where they can be; numbers our own code put in are signed.
  bool whole = found->is_number_unsigned() || (found->is_number_integer() && found->get<int64_t>() >= 0);
  if (!whole || found->get<uint64_t>() < min || found->get<uint64_t>() > max)
    return expected(key, "a whole number from " + std::to_string(min) + " to " + std::to_string(max), *found);
  value = found->get<uint32_t>();
}

void ObjectReader::optional(std::string_view key, std::vector<std::string>& values, size_t max_items) {
  const Json* found = find(key);
  if (!found) return;
  if (!found->is_array() || found->size() > max_items)
    return expected(key, "an array of at most " + std::to_string(max_items) + " strings", *found);
  values.clear();
  for (const auto& item : *found) {
    if (!item.is_string()) return expected(std::string(key) + "/" + std::to_string(values.size()), "a string", item);
    values.push_back(item.get_ref<const std::string&>());
  }
}

void ObjectReader::optional(std::string_view key, std::vector<std::pair<std::string, std::string>>& map,
                            size_t max_items) {
  const Json* found = find(key);
  if (!found) return;
  if (!found->is_object() || found->size() > max_items)
    return expected(key, "an object of at most " + std::to_string(max_items) + " strings", *found);
  map.clear();
  for (const auto& [name, item] : found->items()) {
    if (!item.is_string()) return expected(std::string(key) + "/" + name, "a string", item);
    map.emplace_back(name, item.get_ref<const std::string&>());
  }
}

bool ObjectReader::object(std::string_view key, const std::function<void(ObjectReader&)>& read) {
  const Json* found = find(key);
  if (!found) return false;
  if (!found->is_object()) return expected(key, "an object", *found), false;
  ObjectReader reader(*found, source_, pointer_ + "/" + std::string(key), error_);
  read(reader);
  return true;
}

void ObjectReader::each(std::string_view key, const std::function<void(ObjectReader&)>& read, size_t max_items) {
  const Json* found = find(key);
  if (!found) return;
  if (!found->is_array() || found->size() > max_items)
    return expected(key, "an array of at most " + std::to_string(max_items) + " objects", *found);
  size_t index = 0;
  for (const auto& item : *found) {
    std::string place = std::string(key) + "/" + std::to_string(index++);
    if (!item.is_object()) return expected(place, "an object", item);
    ObjectReader reader(item, source_, pointer_ + "/" + place, error_);
    read(reader);
  }
}

Result<void> ObjectReader::finish() const {
  if (*error_) return fail(**error_);
  return {};
}

std::string ObjectReader::extra() const {
  if (!object_.is_object()) return "";
  Json rest = Json::object();
  for (const auto& [key, value] : object_.items())
    if (std::find(seen_.begin(), seen_.end(), key) == seen_.end()) rest[key] = value;
  return rest.empty() ? "" : dump_json(rest);
}

}  // namespace fairlead
