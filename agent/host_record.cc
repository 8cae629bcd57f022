#include "agent/host_record.h"

#include <charconv>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "base/names.h"

namespace fairlead::agent {
namespace {

std::string file_of(const Paths& paths) { return paths.run + "/host.json"; }

Result<std::string> boot_id() {
  FL_TRY(auto id, read_sysctl("kernel/random/boot_id"));
  return id.value_or("");
}

Json to_json(const RulesMark& mark) { return Json{{"text", mark.text}, {"listing", mark.listing}}; }

void read_mark(ObjectReader& r, RulesMark& mark) {
  r.object("rules", [&](ObjectReader& rules) {
    rules.optional("text", mark.text);
    rules.optional("listing", mark.listing);
  });
}

std::optional<bool> read_flag(ObjectReader& r, const char* key) {
  if (!r.has(key)) return std::nullopt;
  bool value = false;
  r.optional(key, value);
  return value;
}

// Those that are not 0.
template <class Number>
std::vector<Number> read_numbers(ObjectReader& r, const char* key) {
  std::vector<std::string> texts;
  r.optional(key, texts);
  std::vector<Number> numbers;
  for (const auto& text : texts) {
    Number number = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size() && number != 0) numbers.push_back(number);
  }
  return numbers;
}

template <class Numbers>
void put_numbers(Json& json, const char* key, const Numbers& numbers) {
  for (auto number : numbers) json[key].push_back(std::to_string(number));
}

Result<HostRecord> decode(const Json& json, const std::string& source) {
  ObjectReader r(json, source);
  HostRecord record;
  r.required("bootId", record.boot);
  record.opened4 = read_flag(r, "openedIpv4");
  record.opened6 = read_flag(r, "openedIpv6");
  std::vector<std::string> names;
  r.optional("acceptRa", names);
  for (auto& name : names)
    if (is_interface_name(name)) record.accept_ra.push_back(std::move(name));  // they become parts of paths
  read_mark(r, record.rules);
  record.ipsec_ports = read_numbers<uint16_t>(r, "ipsecPorts");
  record.egress_ports = read_numbers<uint16_t>(r, "egressPorts");
  for (uint32_t index : read_numbers<uint32_t>(r, "egressLinks")) record.egress_links.insert(index);
  for (uint32_t index : read_numbers<uint32_t>(r, "egressQueues")) record.egress_queues.insert(index);
  FL_CHECK(r.finish());
  return record;
}

}  // namespace

Result<HostRecord> load_host_record(const Paths& paths) {
  HostRecord fresh;
  FL_TRY(fresh.boot, boot_id());
  FL_TRY(auto text, read_file(file_of(paths)));
  if (!text) return fresh;
  auto json = parse_json(*text, file_of(paths));
  if (!json) return fresh;
  auto record = decode(*json, file_of(paths));
  if (!record || record->boot != fresh.boot) return fresh;
  return *record;
}

Result<void> save_host_record(const Paths& paths, const HostRecord& record) {
  Json json{
      {"apiVersion", 1}, {"bootId", record.boot}, {"acceptRa", record.accept_ra}, {"rules", to_json(record.rules)}};
  put_numbers(json, "ipsecPorts", record.ipsec_ports);
  put_numbers(json, "egressPorts", record.egress_ports);
  put_numbers(json, "egressLinks", record.egress_links);
  put_numbers(json, "egressQueues", record.egress_queues);
  if (record.opened4) json["openedIpv4"] = *record.opened4;
  if (record.opened6) json["openedIpv6"] = *record.opened6;
  return replace_file(file_of(paths), dump_json(json, 2) + "\n", Durability::kBoot);
}

HostRecord HostRecord::walls() const {
  HostRecord rest;
  rest.boot = boot;
  rest.ipsec_ports = ipsec_ports;
  rest.egress_ports = egress_ports;
  rest.egress_links = egress_links;
  rest.egress_queues = egress_queues;
  return rest;
}

Result<void> remove_host_record(const Paths& paths) {
  FL_CHECK(remove_file(file_of(paths)));
  return {};
}

RulesMark mark_of(const std::string& extra) {
  RulesMark mark;
  if (extra.empty()) return mark;
  auto json = parse_json(extra, "router");
  if (!json || !json->is_object()) return mark;
  ObjectReader r(*json, "router");
  read_mark(r, mark);
  return r.ok() ? mark : RulesMark{};
}

std::string with_mark(const std::string& extra, const RulesMark& mark) {
  Json json = Json::object();
  if (auto old = parse_json(extra, "router"); old && old->is_object()) json = std::move(*old);
  json["rules"] = to_json(mark);
  return dump_json(json);
}

}  // namespace fairlead::agent
