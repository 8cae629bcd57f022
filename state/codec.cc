#include "state/codec.h"

#include "base/duration.h"
#include "base/names.h"
#include "state/records.h"

namespace fairlead::codec {

void read_version(ObjectReader& r) {
  uint32_t version = kApiVersion;
  r.optional("apiVersion", version, 1, 0xffffffff);
  if (version != kApiVersion)
    r.problem("apiVersion", "version " + std::to_string(version) + " is newer than this program, which knows version " +
                                std::to_string(kApiVersion) + "; update it");
}

void read_name(ObjectReader& r, const char* key, std::string& name) {
  r.required(key, name);
  if (auto good = check_object_name("name", name); !good) r.problem(key, good.error().message);
}

void one_of(ObjectReader& r, const char* key, const std::string& value, std::initializer_list<const char*> allowed) {
  std::string list;
  for (const char* a : allowed) {
    if (value == a) return;
    if (!list.empty()) list += ", ";
    list += a;
  }
  r.problem(key, "expected one of " + list + ", found \"" + value.substr(0, 64) + "\"");
}

void read_address(ObjectReader& r, const char* key, Address& address) {
  std::string text;
  r.optional(key, text);
  if (text.empty()) return;
  auto parsed = Address::parse(text);
  if (!parsed) return r.problem(key, parsed.error().message);
  address = *parsed;
}

void read_addresses(ObjectReader& r, const char* key, std::vector<Address>& addresses) {
  std::vector<std::string> texts;
  r.optional(key, texts, 2);
  for (size_t i = 0; i < texts.size(); i++) {
    std::string place = std::string(key) + "/" + std::to_string(i);
    auto parsed = Address::parse(texts[i]);
    if (!parsed) return r.problem(place, parsed.error().message);
    for (const auto& other : addresses)
      if (other.family() == parsed->family()) return r.problem(place, "a second address of the same family");
    addresses.push_back(*parsed);
  }
}

void read_duration(ObjectReader& r, const char* key, uint32_t& ms, uint32_t min, uint32_t max) {
  const Json* found = r.find(key);
  if (!found) return;
  uint64_t value = 0;
  bool good = false;
  if (found->is_number_unsigned()) {
    value = found->get<uint64_t>();
    good = true;
  } else if (found->is_string()) {
    auto parsed = parse_duration(found->get_ref<const std::string&>());
    good = parsed.has_value();
    value = parsed.value_or(0);
  }
  if (!good || value < min || value > max)
    return r.problem(key, "expected a duration from " + duration_text(min) + " to " + duration_text(max) +
                              " like \"500ms\" or \"10s\"");
  ms = static_cast<uint32_t>(value);
}

Json start(const std::string& extra) {
  Json json = extra.empty() ? Json::object() : Json::parse(extra, nullptr, false);
  if (!json.is_object()) json = Json::object();
  json["apiVersion"] = kApiVersion;
  return json;
}

std::string text(const Json& json) { return dump_json(json) + "\n"; }

}  // namespace fairlead::codec
