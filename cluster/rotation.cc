#include "cluster/rotation.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "cluster/channel.h"
#include "cluster/member_documents.h"

namespace fairlead::cluster {

std::string encode(const Rotation& r) {
  Json json{{"apiVersion", 1}, {"root", r.root}, {"rootId", r.root_id}, {"started", r.started}};
  if (r.under_way()) {
    json["previous"] = r.previous;
    json["previousId"] = r.previous_id;
    json["cross"] = r.cross;
  }
  return dump_json(json);
}

Result<Rotation> decode_rotation(const std::string& text) {
  FL_TRY(Json json, parse_json(text, kAuthorityKey));
  if (!json.is_object()) return fail(std::string(kAuthorityKey) + ": it is no object");
  Rotation r{text_at(json, "root"),       text_at(json, "rootId"), text_at(json, "previous"),
             text_at(json, "previousId"), text_at(json, "cross"),  number_at(json, "started")};
  FL_TRY(std::string id, authority_id(r.root));
  if (id != r.root_id) return fail(std::string(kAuthorityKey) + ": the root and its id do not agree");
  return r;
}

std::optional<Rotation> rotation_of(const Feed& feed) {
  auto text = feed.get(kAuthorityKey);
  auto rotation = text ? decode_rotation(*text) : fail("");
  return rotation ? std::optional(std::move(*rotation)) : std::nullopt;
}

std::string certificate_document(const CertificateInfo& certificate) {
  return dump_json({{"apiVersion", 1}, {"issuer", certificate.issuer}, {"until", certificate.not_after}});
}

RotationProgress progress_of(const Feed& feed, const Rotation& rotation, int64_t now, int64_t patience_seconds) {
  RotationProgress progress;
  const auto members = feed.snapshot([](const std::string& key) { return key.starts_with("members/"); });
  for (const auto& [key, value] : members.documents) {
    auto member = decode_member(value);
    if (!member) continue;
    auto text = feed.get("certificates/" + member->name);
    auto last = text ? parse_json(*text, key) : fail("");
    if (last && last->is_object() && text_at(*last, "issuer") == rotation.root_id) continue;
    progress.waiting.push_back(member->name);
    const bool needed = member->role == "manager" || feed.get("live/" + member->name);
    if (needed || now < rotation.started + patience_seconds) progress.finished = false;
  }
  return progress;
}

}  // namespace fairlead::cluster
