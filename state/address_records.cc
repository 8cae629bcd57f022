#include "state/address_records.h"

#include <algorithm>
#include <cctype>

#include "base/duration.h"
#include "base/file.h"
#include "base/names.h"
#include "state/codec.h"

namespace fairlead {
namespace {

using codec::Json;

constexpr size_t kMaxSticky = 64;  // as many as one attachment has range sets (ipam/config.cc)
constexpr uint64_t kYear10000 = 253402300800;

template <class Record>
Result<std::optional<Record>> load(const std::string& path, Result<Record> (*decode)(const Json&, const std::string&)) {
  FL_TRY(auto text, read_file(path));
  if (!text) return std::nullopt;
  FL_TRY(Json json, parse_json(*text, path));
  FL_TRY(Record record, decode(json, path));
  return std::optional<Record>(std::move(record));
}

void read_sticky_addresses(ObjectReader& r, std::vector<Address>& addresses) {
  std::vector<std::string> texts;
  r.optional("addresses", texts, kMaxSticky);
  for (const auto& text : texts) {
    auto parsed = Address::parse(text);
    if (!parsed) return r.problem("addresses", parsed.error().message);
    addresses.push_back(*parsed);
  }
}

Json list_of(const std::vector<Address>& addresses) {
  Json list = Json::array();
  for (const auto& a : addresses) list.push_back(a.to_string());
  return list;
}

}  // namespace

Result<Reservation> decode_reservation(const Json& json, const std::string& source) {
  ObjectReader r(json, source);
  Reservation reservation;
  codec::read_version(r);
  codec::read_name(r, "network", reservation.network);
  codec::read_name(r, "name", reservation.name);
  codec::read_addresses(r, "addresses", reservation.addresses);
  if (r.ok() && reservation.addresses.empty()) r.problem("addresses", "expected one or two addresses");
  reservation.extra = r.extra();
  FL_CHECK(r.finish());
  return reservation;
}

std::string encode(const Reservation& reservation) {
  Json json = codec::start(reservation.extra);
  json["network"] = reservation.network;
  json["name"] = reservation.name;
  json["addresses"] = list_of(reservation.addresses);
  return codec::text(json);
}

Result<StickyAddresses> decode_sticky(const Json& json, const std::string& source) {
  ObjectReader r(json, source);
  StickyAddresses sticky;
  codec::read_version(r);
  codec::read_name(r, "network", sticky.network);
  codec::read_name(r, "name", sticky.name);
  read_sticky_addresses(r, sticky.addresses);
  codec::read_duration(r, "for", sticky.keep_ms, 0, UINT32_MAX);
  if (const Json* released = r.find("released")) {
    if (!released->is_number_unsigned() || released->get<uint64_t>() > kYear10000)
      r.problem("released", "expected seconds since 1970");
    else
      sticky.released = released->get<uint64_t>();
  }
  sticky.extra = r.extra();
  FL_CHECK(r.finish());
  return sticky;
}

std::string encode(const StickyAddresses& sticky) {
  Json json = codec::start(sticky.extra);
  json["network"] = sticky.network;
  json["name"] = sticky.name;
  json["addresses"] = list_of(sticky.addresses);
  json["for"] = duration_text(sticky.keep_ms);
  if (sticky.released) json["released"] = sticky.released;
  return codec::text(json);
}

Result<std::optional<Reservation>> load_reservation(const Paths& paths, const std::string& network,
                                                    const std::string& name) {
  FL_CHECK(check_object_name("network name", network));
  FL_CHECK(check_object_name("name", name));
  const std::string path = paths.reservation(network, name);
  FL_TRY(auto reservation, load<Reservation>(path, decode_reservation));
  if (reservation && (reservation->name != name || reservation->network != network))
    return fail(path + ": the names inside do not match the path; rename the file or correct the names");
  return reservation;
}

std::string address_name(std::string_view dns_name) {
  std::string name(dns_name);
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  return is_object_name(name) ? name : std::string();
}

}  // namespace fairlead
