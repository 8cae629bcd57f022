#include "cluster/key_documents.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/names.h"
#include "cluster/channel.h"
#include "cluster/encoding.h"
#include "cluster/epoch_seal.h"

namespace fairlead::cluster {
namespace {

constexpr size_t kDrawnBytes = 16, kMaxSealed = 256;
constexpr uint32_t kFirstSpi = 256;  // RFC 4303 section 2.1

void read_version(ObjectReader& r) {
  uint32_t version = 1;
  r.optional("apiVersion", version, 1, 1);
}

void read_epoch(ObjectReader& r, const char* key, std::string& id) {
  r.required(key, id);
  if (r.ok() && !is_epoch_id(id)) r.problem(key, "is no epoch; one is like 42-9f3ac1d2");
}

// Base64 of min to max bytes.
void read_bytes(ObjectReader& r, const char* key, std::string& bytes, size_t min, size_t max) {
  std::string text;
  r.required(key, text);
  if (!r.ok()) return;
  auto decoded = from_base64(text);
  if (!decoded || decoded->size() < min || decoded->size() > max)
    return r.problem(key, "is not the base64 of as many bytes as belong there");
  bytes = std::move(*decoded);
}

void read_fingerprint(ObjectReader& r, const char* key, std::string& value) {
  r.required(key, value);
  if (r.ok() && (value.size() != 16 || value.find_first_not_of("0123456789abcdef") != value.npos))
    r.problem(key, "is no fingerprint of a key (16 digits)");
}

void read_node(ObjectReader& r, const char* key, std::string& name) {
  r.required(key, name);
  if (r.ok() && !is_object_name(name)) r.problem(key, "is no name of a node");
}

Result<Json> parse(const std::string& text, const std::string& source) {
  FL_TRY(Json json, parse_json(text, source));
  if (!json.is_object()) return fail(source + ": it is no object");
  return json;
}

void read_port(ObjectReader& r, uint16_t& port) {
  uint32_t value = 0;
  r.optional("udp", value, 0, UINT16_MAX);
  port = static_cast<uint16_t>(value);
}

int64_t read_seconds(ObjectReader& r, const char* key, int64_t min, int64_t max) {
  const Json* value = r.find(key);
  if (value && value->is_number_integer() && value->get<int64_t>() >= min && value->get<int64_t>() <= max)
    return value->get<int64_t>();
  r.problem(key, "is no number of seconds from " + std::to_string(min) + " to " + std::to_string(max));
  return min;
}

}  // namespace

Result<EpochList> decode_epoch_list(const std::string& text, const std::string& source) {
  FL_TRY(Json json, parse(text, source));
  ObjectReader r(json, source);
  EpochList list;
  read_version(r);
  list.interval = read_seconds(r, "interval", kMinKeyInterval, kMaxKeyInterval);
  r.each(
      "epochs",
      [&](ObjectReader& item) {
        Epoch epoch;
        read_epoch(item, "id", epoch.id);
        epoch.created = read_seconds(item, "created", 0, int64_t{1} << 40);
        list.epochs.push_back(std::move(epoch));
      },
      EpochList::kMax);
  FL_CHECK(r.finish());
  return list;
}

std::string encode(const EpochList& list) {
  Json json{{"apiVersion", 1}, {"interval", list.interval}, {"epochs", Json::array()}};
  for (const auto& epoch : list.epochs)
    json["epochs"].push_back({{"id", epoch.id}, {"number", epoch_number(epoch.id)}, {"created", epoch.created}});
  return dump_json(json);
}

Result<SealedCopy> decode_sealed_copy(const std::string& text, const std::string& source) {
  FL_TRY(Json json, parse(text, source));
  ObjectReader r(json, source);
  SealedCopy copy;
  read_version(r);
  read_epoch(r, "epoch", copy.epoch);
  read_bytes(r, "sealed", copy.sealed, 1, kMaxSealed);
  read_fingerprint(r, "key", copy.key);
  r.optional("number", copy.number, 0, UINT32_MAX);
  FL_CHECK(r.finish());
  return copy;
}

std::string encode(const SealedCopy& copy) {
  return dump_json({{"apiVersion", 1},
                    {"epoch", copy.epoch},
                    {"sealed", to_base64(copy.sealed)},
                    {"key", copy.key},
                    {"number", copy.number}});
}

Result<AssociationDocument> decode_association(const std::string& text, const std::string& source) {
  FL_TRY(Json json, parse(text, source));
  ObjectReader r(json, source);
  AssociationDocument document;
  read_version(r);
  read_node(r, "node", document.node);
  read_node(r, "peer", document.peer);
  read_fingerprint(r, "ownKey", document.own_key);
  read_fingerprint(r, "peerKey", document.peer_key);
  SendOffer offer;
  const bool sends = r.object("send", [&](ObjectReader& item) {
    read_bytes(item, "instance", offer.instance, kDrawnBytes, kDrawnBytes);
    read_epoch(item, "epoch", offer.epoch);
    read_port(item, offer.udp);
  });
  if (sends) document.send = std::move(offer);
  r.optional("sending", document.sending, 0, UINT32_MAX);
  r.optional("probed", document.probed, 0, UINT32_MAX);
  read_port(r, document.udp);
  r.each(
      "receive",
      [&](ObjectReader& item) {
        ReceiveEntry entry;
        item.required("spi", entry.spi, kFirstSpi, UINT32_MAX);
        read_epoch(item, "epoch", entry.epoch);
        read_bytes(item, "of", entry.of, kDrawnBytes, kDrawnBytes);
        read_bytes(item, "nonce", entry.nonce, kDrawnBytes, kDrawnBytes);
        item.optional("answered", entry.answered, 0, UINT32_MAX);
        item.optional("got", entry.got);
        document.receive.push_back(std::move(entry));
      },
      AssociationDocument::kMaxReceive);
  FL_CHECK(r.finish());
  return document;
}

std::string encode(const AssociationDocument& document) {
  Json json{{"apiVersion", 1},
            {"node", document.node},
            {"peer", document.peer},
            {"ownKey", document.own_key},
            {"peerKey", document.peer_key},
            {"sending", document.sending},
            {"receive", Json::array()}};
  if (document.probed) json["probed"] = document.probed;
  if (document.udp) json["udp"] = document.udp;
  if (document.send) {
    json["send"] = {{"instance", to_base64(document.send->instance)}, {"epoch", document.send->epoch}};
    if (document.send->udp) json["send"]["udp"] = document.send->udp;
  }
  for (const auto& entry : document.receive) {
    Json item{
        {"spi", entry.spi}, {"epoch", entry.epoch}, {"of", to_base64(entry.of)}, {"nonce", to_base64(entry.nonce)}};
    if (entry.answered) item.update({{"answered", entry.answered}, {"got", entry.got}});
    json["receive"].push_back(std::move(item));
  }
  return dump_json(json);
}

}  // namespace fairlead::cluster
