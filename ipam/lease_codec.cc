// The owner document and the names of its files.
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/names.h"
#include "ipam/lease.h"
#include "state/records.h"

namespace fairlead::ipam {
namespace {

std::string text_of(const Span& span) {
  return span.first == span.last ? span.first.to_string() : span.first.to_string() + "-" + span.last.to_string();
}

Result<Span> parse_span(const std::string& text) {
  auto dash = text.find('-');
  FL_TRY(Address first, Address::parse(std::string_view(text).substr(0, dash)));
  if (dash == text.npos) return Span{first, first};
  FL_TRY(Address last, Address::parse(std::string_view(text).substr(dash + 1)));
  // A bound, so that a damaged document cannot send a release through 2^64 addresses.
  if (last.family() != first.family() || last < first || last.minus(first) > 1 << 20)
    return fail("\"" + text + "\" is not a range of at most 2^20 addresses");
  return Span{first, last};
}

Result<std::vector<Span>> parse_spans(const Json& list, const std::string& source) {
  std::vector<Span> spans;
  if (!list.is_array()) return fail(source + ": /tried: expected lists of address ranges");
  for (const auto& item : list) {
    if (!item.is_string()) return fail(source + ": /tried: expected lists of address ranges");
    auto span = parse_span(item.get<std::string>());
    if (!span) return fail(span.error().with(source + ": /tried"));
    spans.push_back(*span);
  }
  return spans;
}

}  // namespace

std::string encode(const Owner& owner) {
  Json j{
      {"apiVersion", kApiVersion}, {"container", owner.container}, {"ifname", owner.ifname}, {"tried", Json::array()}};
  if (!owner.netns.empty()) j["netns"] = owner.netns;
  if (owner.netns_inode) j["netnsInode"] = owner.netns_inode;
  if (owner.by_fairlead) j["byFairlead"] = true;
  if (!owner.names.empty()) j["names"] = owner.names;
  if (!owner.sticky.empty()) j["sticky"] = owner.sticky;
  for (const auto& spans : owner.tried) {
    Json list = Json::array();
    for (const auto& span : spans) list.push_back(text_of(span));
    j["tried"].push_back(std::move(list));
  }
  return dump_json(j);
}

Result<Owner> decode_owner(std::string_view text, const std::string& source) {
  FL_TRY(Json json, parse_json(text, source));
  ObjectReader r(json, source);
  Owner owner;
  uint32_t version = 0;
  r.required("apiVersion", version, 1, kApiVersion);
  r.required("container", owner.container);
  r.required("ifname", owner.ifname);
  r.optional("netns", owner.netns);
  r.optional("netnsInode", owner.netns_inode, 0, UINT32_MAX);
  r.optional("byFairlead", owner.by_fairlead);
  r.optional("names", owner.names);
  r.optional("sticky", owner.sticky);
  if (!owner.sticky.empty() && !is_object_name(owner.sticky)) r.problem("sticky", "is not a name");
  if (r.ok() && !is_cni_id(owner.container)) r.problem("container", "is not a container id");
  if (r.ok() && !is_interface_name(owner.ifname)) r.problem("ifname", "is not an interface name");
  if (const Json* tried = r.find("tried"); tried && tried->is_array())
    for (const auto& list : *tried) {
      FL_TRY(auto spans, parse_spans(list, source));
      owner.tried.push_back(std::move(spans));
    }
  FL_CHECK(r.finish());
  return owner;
}

}  // namespace fairlead::ipam
