// Registry: the exchange of the authority (cluster/rotation.h). What every manager does, again and again, until it has
// the key of the root that the store names, and what one of them does at the beginning and at the end.
#include <algorithm>
#include <cerrno>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/log.h"
#include "cluster/channel.h"
#include "cluster/encoding.h"
#include "cluster/manager_client.h"
#include "cluster/registry.h"
#include "cluster/rotation.h"

namespace fairlead::cluster {
namespace {

constexpr int kAskMs = 8000;
constexpr int64_t kPatience = 86400;

// Key and certificate belong together, and are those the store names.
Result<void> check_authority(const Authority& authority, const Rotation& rotation) {
  FL_TRY(std::string id, authority_id(authority.certificate));
  FL_TRY(std::string signature, sign(authority.key, rotation.root_id));
  FL_TRY(bool good, verify_signature(rotation.root, rotation.root_id, signature));
  if (id != rotation.root_id || !good) return fail("the authority's key is not that of the root in the store");
  return {};
}

Result<bool> save_when_new(const std::string& path, const std::string& text) {
  FL_TRY(auto there, read_file(path));
  if (there && *there == text) return false;
  FL_CHECK(save_secret(path, text));
  return true;
}

}  // namespace

Result<void> Registry::start_rotation() const {
  FL_TRY(auto stored, etcd_.get(store_key(kAuthorityKey)));
  if (stored) {
    FL_TRY(Rotation now, decode_rotation(stored->value));
    if (now.under_way()) return fail("the authority is being exchanged already; cluster status tells how far it is");
  }
  FL_TRY(Authority old, load_authority(paths_));
  FL_TRY(Authority made, make_authority(self_.cluster, "nodes", wall_seconds()));
  Rotation rotation;
  rotation.root = made.certificate;
  FL_TRY(rotation.root_id, authority_id(made.certificate));
  FL_TRY(rotation.previous, first_certificate(old.certificate));
  FL_TRY(rotation.previous_id, authority_id(old.certificate));
  FL_TRY(rotation.cross, cross_sign(old, made.certificate, wall_seconds()));
  rotation.started = wall_seconds();
  // Before the store knows of it: the key must not be lost then. One that the store never names is overwritten.
  FL_CHECK(save_secret(PkiPaths(paths_).next_authority(), made.key + made.certificate));
  EtcdCompare unchanged{EtcdCompare::kAbsent, store_key(kAuthorityKey)};
  if (stored) unchanged = {EtcdCompare::kModifiedAt, stored->key, "", stored->modified};
  FL_TRY(auto applied, etcd_.apply({unchanged}, {{store_key(kAuthorityKey), encode(rotation)}}));
  if (!applied.done) return fail("another manager exchanges the authority; cluster status tells how far it is", EAGAIN);
  feed_.reach(applied.revision, 1000);
  return {};
}

// From our own file when the exchange began here, else from the managers that have it.
Result<Authority> Registry::fetch_authority(const Rotation& rotation, const StopSignal& stop) const {
  if (auto next = load_authority_file(PkiPaths(paths_).next_authority()))
    if (check_authority(*next, rotation)) return next;
  Result<Authority> outcome = fail("no other manager has the key of the new authority yet", EAGAIN);
  const auto nodes = feed_.snapshot([](const std::string& key) { return key.starts_with("nodes/"); });
  for (const auto& [key, value] : nodes.documents) {
    auto json = parse_json(value, key);
    if (!json || !json->is_object() || text_at(*json, "role") != "manager" || text_at(*json, "name") == self_.name)
      continue;
    auto address = Address::parse(text_at(*json, "address"));
    if (!address) continue;
    Membership other = self_;
    other.managers = {{*address, static_cast<uint16_t>(number_at(*json, "port", kDefaultPort))}};
    ManagerClient client(paths_, other, stop);
    auto answer = client.ask({{"op", "authority"}, {"id", rotation.root_id}}, kAskMs);
    if (!answer) {
      outcome = fail(answer.error());
      continue;
    }
    auto authority = parse_authority(text_at(*answer, "key"));
    auto good = authority ? check_authority(*authority, rotation) : fail(authority.error());
    if (good) return authority;
    outcome = fail(good.error());
  }
  return outcome;
}

// true: this manager's files are others now, and what was made of them has to be made again.
Result<bool> Registry::follow_rotation(const StopSignal& stop) const {
  const auto rotation = rotation_of(feed_);
  if (!rotation) return false;
  PkiPaths pki(paths_);
  FL_TRY(Authority own, load_authority(paths_));
  FL_TRY(std::string own_id, authority_id(own.certificate));
  if (own_id != rotation->root_id) {
    FL_TRY(own, fetch_authority(*rotation, stop));
    if (rotation->under_way()) {
      FL_TRY(Authority old, load_authority(paths_));
      FL_CHECK(save_secret(pki.previous_authority(), old.key_alone() + rotation->previous));
      // A key without its certificate would be taken for that of the first one in the bundle.
      FL_CHECK(save_secret(pki.authority_key(), old.key_alone() + rotation->previous));
    }
    log_info("cluster: this manager has the key of the new authority");
  }
  // In this order, so that at each moment what is sent is trusted by all: first trust, then sign.
  FL_TRY(bool trust, save_when_new(pki.authorities(), rotation->bundle()));
  FL_TRY(bool key, save_when_new(pki.authority_key(), own.key_alone() + rotation->root + rotation->cross));
  if (!rotation->under_way()) FL_CHECK(remove_file(pki.previous_authority()));
  FL_CHECK(remove_file(pki.next_authority()));
  if (key) {
    FL_TRY(ClusterSettings settings, this->settings());
    FL_CHECK(renew_manager_certificate(paths_, self_, settings.certificate_seconds));
  }
  return trust || key;
}

Result<void> Registry::finish_rotation(bool now) const {
  const auto rotation = rotation_of(feed_);
  if (!rotation || !rotation->under_way()) return now ? fail("the authority is not being exchanged") : Result<void>();
  FL_TRY(ClusterSettings settings, this->settings());
  const auto progress =
      progress_of(feed_, *rotation, wall_seconds(), std::min(kPatience, settings.certificate_seconds));
  if (!progress.finished && !now) return {};
  FL_TRY(auto stored, etcd_.get(store_key(kAuthorityKey)));
  if (!stored || stored->value != encode(*rotation)) return {};
  Rotation done{rotation->root, rotation->root_id, "", "", "", rotation->started};
  FL_TRY(auto applied,
         etcd_.apply({{EtcdCompare::kModifiedAt, stored->key, "", stored->modified}}, {{stored->key, encode(done)}}));
  if (!applied.done) return {};
  log_info("cluster: the authority is exchanged; the old one is no longer trusted");
  for (const auto& name : progress.waiting)
    log_warning("cluster: " + name + " has no certificate of the new authority; it has to leave and join again");
  return remove_old_tokens(*rotation);
}

// They carry the digest of the old root: nobody could join with them.
Result<void> Registry::remove_old_tokens(const Rotation& rotation) const {
  FL_TRY(std::string digest, certificate_digest(rotation.root));
  FL_TRY(auto tokens, etcd_.range({store_key("tokens/"), prefix_end(store_key("tokens/"))}));
  for (const auto& token : tokens.documents) {
    auto json = parse_json(token.value, token.key);
    if (json && json->is_object() && text_at(*json, "root") == to_hex(digest)) continue;
    FL_CHECK(etcd_.apply({}, {{token.key, std::nullopt}}));
  }
  return {};
}

// Of the authority whose digest the token carries: as long as it is there, the old one for old tokens.
Result<Authority> Registry::authority_of_token(const std::string& token) const {
  FL_TRY(Authority own, load_authority(paths_));
  FL_TRY(std::string digest, certificate_digest(own.certificate));
  FL_TRY(auto stored, etcd_.get(store_key("tokens/" + token)));
  auto json = stored ? parse_json(stored->value, "token") : fail("");
  if (json && json->is_object() && text_at(*json, "root") == to_hex(digest)) return own;
  auto previous = load_authority_file(PkiPaths(paths_).previous_authority());
  return previous ? std::move(*previous) : std::move(own);
}

Result<void> Registry::note_certificate(const CertificateInfo& certificate) const {
  const std::string key = "certificates/" + certificate.identity.name;
  const std::string text = certificate_document(certificate);
  if (feed_.get(key) == text) return {};
  FL_TRY(auto member, etcd_.get(store_key("members/" + certificate.identity.name)));
  if (!member) return {};
  // Not of one that was evicted meanwhile.
  FL_CHECK(etcd_.apply({{EtcdCompare::kModifiedAt, member->key, "", member->modified}}, {{store_key(key), text}}));
  return {};
}

}  // namespace fairlead::cluster
