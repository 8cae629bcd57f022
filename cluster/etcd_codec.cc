#include "cluster/etcd_codec.h"

#include <charconv>

#include <nlohmann/json.hpp>

#include "cluster/channel.h"
#include "cluster/encoding.h"

namespace fairlead::cluster {
namespace {

constexpr JsonLimits kAnswerLimits{64 << 20, 16};

tl::unexpected<Error> unexpected_answer(const char* what) {
  return fail(std::string("etcd: an answer that was not expected: ") + what, EBADMSG);
}

const Json& object_at(const Json& object, const char* key) {
  static const Json kEmpty = Json::object();
  auto found = object.find(key);
  return found != object.end() && found->is_object() ? *found : kEmpty;
}

const Json& list_at(const Json& object, const char* key) {
  static const Json kEmpty = Json::array();
  auto found = object.find(key);
  return found != object.end() && found->is_array() ? *found : kEmpty;
}

Result<EtcdDocument> decode_document(const Json& json) {
  if (!json.is_object()) return unexpected_answer("a document that is no object");
  auto key = from_base64(text_at(json, "key")), value = from_base64(text_at(json, "value"));
  if (!key || key->empty() || !value) return unexpected_answer("key or value is not base64");
  return EtcdDocument{std::move(*key), std::move(*value), long_at(json, "mod_revision"), long_at(json, "lease")};
}

}  // namespace

std::string prefix_end(std::string prefix) {
  prefix.back()++;
  return prefix;
}

Json encode(const EtcdRange& range) {
  Json json{{"key", to_base64(range.key)}};
  if (!range.end.empty()) json["range_end"] = to_base64(range.end);
  if (range.limit) json["limit"] = std::to_string(range.limit);
  if (range.revision) json["revision"] = std::to_string(range.revision);
  return json;
}

Json encode(const std::vector<EtcdCompare>& compares, const std::vector<EtcdChange>& changes) {
  Json compare = Json::array(), success = Json::array();
  for (const auto& c : compares) {
    Json one{{"key", to_base64(c.key)}};
    switch (c.what) {
      case EtcdCompare::kAbsent:
        one.update({{"target", "CREATE"}, {"result", "EQUAL"}, {"create_revision", "0"}});
        break;
      case EtcdCompare::kModifiedAt:
        one.update({{"target", "MOD"}, {"result", "EQUAL"}, {"mod_revision", std::to_string(c.revision)}});
        break;
      case EtcdCompare::kNoneModifiedAfter:
        one.update({{"target", "MOD"}, {"result", "LESS"}, {"mod_revision", std::to_string(c.revision + 1)}});
        break;
    }
    if (!c.end.empty()) one["range_end"] = to_base64(c.end);
    compare.push_back(std::move(one));
  }
  for (const auto& c : changes) {
    Json one{{"key", to_base64(c.key)}};
    if (!c.value) {
      if (!c.end.empty()) one["range_end"] = to_base64(c.end);
      success.push_back({{"request_delete_range", std::move(one)}});
      continue;
    }
    one["value"] = to_base64(*c.value);
    if (c.lease) one["lease"] = std::to_string(c.lease);
    success.push_back({{"request_put", std::move(one)}});
  }
  return {{"compare", std::move(compare)}, {"success", std::move(success)}};
}

Json encode_watch(const EtcdRange& range, int64_t start_revision) {
  Json create = encode(EtcdRange{range.key, range.end});
  create["start_revision"] = std::to_string(start_revision);
  create["progress_notify"] = true;
  return {{"create_request", std::move(create)}};
}

Result<EtcdRangeAnswer> decode_range(const Json& answer) {
  EtcdRangeAnswer range;
  range.revision = header_revision(answer);
  range.more = flag_at(answer, "more");
  for (const auto& item : list_at(answer, "kvs")) {
    FL_TRY(EtcdDocument document, decode_document(item));
    range.documents.push_back(std::move(document));
  }
  if (range.revision <= 0) return unexpected_answer("a range without a revision");
  return range;
}

Result<EtcdWatchLine> decode_watch_line(std::string_view line) {
  FL_TRY(Json json, parse_json(line, "etcd's watch", kAnswerLimits));
  if (!json.is_object() || json.contains("error")) return unexpected_answer("a watch that ended");
  const Json& result = object_at(json, "result");
  EtcdWatchLine out;
  out.revision = header_revision(result);
  out.created = flag_at(result, "created");
  out.canceled = flag_at(result, "canceled") || long_at(result, "compact_revision") != 0;
  for (const auto& item : list_at(result, "events")) {
    if (!item.is_object()) return unexpected_answer("an event that is no object");
    FL_TRY(EtcdDocument document, decode_document(object_at(item, "kv")));
    EtcdEvent event{std::move(document.key), std::nullopt, document.modified};
    std::string type = text_at(item, "type");
    if (type.empty() || type == "PUT")
      event.value = std::move(document.value);
    else if (type != "DELETE")
      return unexpected_answer("an event that is neither put nor delete");
    out.events.push_back(std::move(event));
  }
  return out;
}

Result<std::vector<EtcdMember>> decode_members(const Json& answer) {
  std::vector<EtcdMember> members;
  for (const auto& item : list_at(answer, "members")) {
    if (!item.is_object()) return unexpected_answer("a member that is no object");
    EtcdMember member{text_at(item, "ID"), text_at(item, "name"), {}, flag_at(item, "isLearner")};
    for (const auto& url : list_at(item, "peerURLs"))
      if (url.is_string()) member.peer_urls.push_back(url.get<std::string>());
    members.push_back(std::move(member));
  }
  if (members.empty()) return unexpected_answer("no members");
  return members;
}

int64_t header_revision(const Json& answer) { return long_at(object_at(answer, "header"), "revision"); }

int64_t long_at(const Json& object, const char* key) {
  std::string text = text_at(object, key);
  int64_t number = 0;
  auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() ? number : 0;
}

}  // namespace fairlead::cluster
