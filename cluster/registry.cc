#include "cluster/registry.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "cluster/block_plan.h"
#include "cluster/channel.h"
#include "cluster/clock_skew.h"
#include "cluster/document_check.h"
#include "cluster/encoding.h"
#include "cluster/key_documents.h"
#include "cluster/member_documents.h"
#include "cluster/roles.h"
#include "cluster/token.h"
#include "state/node_record.h"
#include "state/store.h"

namespace fairlead::cluster {
namespace {

constexpr int64_t kLeaseBase = int64_t{0x464c} << 32;  // lease ids of ours: this and the member's number

Result<Json> parse_document(const std::string& key, const std::string& value) {
  FL_TRY(Json json, parse_json(value, key));
  if (!json.is_object()) return fail(key + ": it is no object");
  return json;
}

// What containers of this node have, whoever gave it: leases are files named by their address.
Result<std::vector<Address>> used_addresses(const Paths& paths, const std::string& network) {
  std::vector<Address> addresses;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(paths.leases(network), none))
    if (auto address = Address::parse(entry.path().filename().string())) addresses.push_back(*address);
  FL_TRY(auto endpoints, list_documents(paths.endpoints(network)));
  for (const auto& name : endpoints) {
    auto endpoint = load_endpoint_file(paths.endpoints(network) + "/" + name + ".json");
    if (endpoint && *endpoint)
      addresses.insert(addresses.end(), (*endpoint)->addresses.begin(), (*endpoint)->addresses.end());
  }
  return addresses;
}

}  // namespace

Result<bool> Registry::found() const {
  ClusterSettings settings{self_.certificate_seconds, self_.lease_seconds, self_.block_grace_seconds};
  Json document{{"apiVersion", 1},
                {"cluster", self_.cluster},
                {"certificateSeconds", settings.certificate_seconds},
                {"leaseSeconds", settings.lease_seconds},
                {"blockGraceSeconds", settings.block_grace_seconds},
                {"keySeconds", self_.key_seconds > 0 ? self_.key_seconds : kDefaultKeyInterval}};
  MemberRecord me{self_.name, self_.role, self_.number, self_.address, "", wall_seconds()};
  FL_TRY(auto applied, etcd_.apply({{EtcdCompare::kAbsent, store_key("cluster/settings")}},
                                   {{store_key("cluster/settings"), dump_json(document)},
                                    {store_key("counters/node"), std::to_string(self_.number)},
                                    {store_key("members/" + me.name), encode(me)},
                                    {store_key("nodes/" + me.name), node_document(me)}}));
  FL_TRY(auto there, this->settings());  // another cluster's store in our folder would be an error
  if (there.lease_seconds <= 0) return fail("cluster/settings: the lease is missing");
  FL_CHECK(import_documents());
  return applied.done;
}

Result<void> Registry::import_documents() const {
  std::vector<std::pair<std::string, std::string>> found;  // key, path
  FL_TRY(auto networks, list_documents(paths_.networks()));
  for (const auto& name : networks) found.emplace_back("networks/" + name, paths_.network(name));
  FL_TRY(auto folders, list_folders(paths_.services()));
  for (const auto& network : folders) {
    FL_TRY(auto services, list_documents(paths_.services(network)));
    for (const auto& name : services)
      found.emplace_back("services/" + network + "/" + name, paths_.service(network, name));
  }
  for (const auto& [key, path] : found) {
    FL_TRY(auto text, read_file(path));
    if (!text || !check_document(key, *text)) continue;  // a bad one stays where it is and is reported by its readers
    FL_TRY(std::string document, with_mark(*text, ""));
    std::vector<EtcdChange> changes;
    if (key.starts_with("networks/")) {
      FL_TRY(changes, import_blocks(key.substr(strlen("networks/")), *text));
    }
    changes.push_back({store_key(key), document});
    FL_CHECK(etcd_.apply({{EtcdCompare::kAbsent, store_key(key)}}, changes));
  }
  return {};
}

Result<void> Registry::imported() const {
  FL_TRY(auto networks, list_documents(paths_.networks()));
  for (const auto& name : networks) {
    FL_TRY(auto text, read_file(paths_.network(name)));
    if (text && check_document("networks/" + name, *text) && mark_of(*text) != self_.cluster)
      return fail("network " + name + " is not marked as the cluster's yet", EAGAIN);
  }
  return {};
}

// The founder gave addresses of all of the subnets; now it has the blocks they are in, before anybody else can claim.
Result<std::vector<EtcdChange>> Registry::import_blocks(const std::string& name, const std::string& document) const {
  FL_TRY(Json json, parse_json(document, name));
  FL_TRY(Network network, decode_network(json, name));
  NodeBlocks own;
  const std::string written = paths_.blocks(name, self_.name);  // by hand
  FL_TRY(auto text, read_file(written));
  if (text) {
    FL_TRY(Json blocks, parse_json(*text, written));
    FL_TRY(own, decode_node_blocks(blocks, written));
  }
  own.network = name;
  own.node = self_.name;
  own.number = self_.number;
  FL_TRY(auto addresses, used_addresses(paths_, name));
  for (const auto& address : addresses) {
    if (covers(own.blocks, Prefix{address, address.bits()})) continue;
    if (auto block = block_around(network, address, own.blocks)) own.blocks.push_back(*block);
  }
  if (own.blocks.empty()) return std::vector<EtcdChange>();
  return std::vector<EtcdChange>{{store_key("blocks/" + name + "/" + self_.name), encode(own)}};
}

Result<ClusterSettings> Registry::settings() const {
  FL_TRY(auto document, etcd_.get(store_key("cluster/settings")));
  if (!document) return fail("the store holds no cluster", ENOENT);
  FL_TRY(Json json, parse_document("cluster/settings", document->value));
  if (text_at(json, "cluster") != self_.cluster)
    return fail("the store belongs to cluster " + text_at(json, "cluster") + ", not to " + self_.cluster);
  return ClusterSettings{number_at(json, "certificateSeconds"), number_at(json, "leaseSeconds"),
                         number_at(json, "blockGraceSeconds", kBlockGraceSeconds)};
}

Result<std::string> Registry::make_token(const std::string& role, int64_t seconds, int64_t uses) const {
  constexpr int64_t kYear = int64_t{366} * 86400;
  if (!is_role(role)) return fail("\"" + role + "\" is no role; there are manager, node, operator, viewer");
  if (seconds < 1 || seconds > kYear) return fail("a token is valid for a second to a year");
  if (uses < 1 || uses > kMaxNodeNumber) return fail("a token can be used 1 to 32767 times");
  FL_TRY(Authority authority, load_authority(paths_));
  FL_TRY(std::string digest, certificate_digest(authority.certificate));
  const Token token = cluster::make_token(digest);
  Json document{{"role", role},
                {"root", to_hex(digest)},
                {"key", to_base64(cluster::handshake_key(token))},
                {"proof", to_hex(sha256(join_proof(token)))},
                {"expires", wall_seconds() + seconds},
                {"uses", uses}};
  const std::string key = store_key("tokens/" + token_id(token));
  FL_TRY(auto applied, etcd_.apply({{EtcdCompare::kAbsent, key}}, {{key, dump_json(document)}}));
  if (!applied.done) return fail("the token could not be stored; try again");
  return to_text(token);
}

Result<std::optional<std::string>> Registry::handshake_key(const std::string& token) const {
  FL_TRY(auto document, etcd_.get(store_key("tokens/" + token)));
  if (!document) return std::nullopt;
  auto json = parse_document("token", document->value);
  if (!json || number_at(*json, "expires") <= wall_seconds() || number_at(*json, "uses") < 1) return std::nullopt;
  auto key = from_base64(text_at(*json, "key"));
  return key && key->size() == 32 ? key : std::nullopt;
}

Result<std::string> Registry::issue(const Identity& who, const HostPort& address, const std::string& request,
                                    int64_t seconds) const {
  FL_TRY(Authority authority, load_authority(paths_));
  return issue_certificate(authority, request, {who, address.address, who.role == "manager", wall_seconds(), seconds});
}

Result<Json> Registry::renew(const Identity& who, const std::string& request) const {
  FL_TRY(auto document, etcd_.get(store_key("members/" + who.name)));
  if (!document) return fail(who.name + " is no longer a member of the cluster", EKEYREVOKED);
  FL_TRY(MemberRecord member, decode_member(document->value));
  FL_TRY(ClusterSettings settings, this->settings());
  FL_TRY(std::string certificate, issue(who, member.address, request, settings.certificate_seconds));
  FL_TRY(Credentials own, load_credentials(paths_));
  return Json{{"certificate", certificate}, {"authorities", own.authorities}};
}

Result<bool> Registry::is_member(const Identity& who) const {
  auto known = feed_.get("members/" + who.name);
  if (known) {
    auto member = decode_member(*known);
    if (member && member->number == who.number && member->role == who.role) return true;
  }
  // It may have joined at another manager just now.
  FL_TRY(auto document, etcd_.get(store_key("members/" + who.name)));
  if (!document) return false;
  FL_TRY(MemberRecord member, decode_member(document->value));
  return member.number == who.number && member.role == who.role;
}

int64_t clock_ahead(const std::optional<std::string>& live) {
  auto json = parse_json(live.value_or("{}"), "live");
  return json && json->is_object() ? number_at(*json, "clockAhead") : 0;
}

Result<void> Registry::keep_alive(const Identity& who, int64_t ahead) const {
  const int64_t lease = kLeaseBase | who.number;
  const std::string key = "live/" + who.name;
  FL_TRY(bool kept, etcd_.keep_lease(lease));
  const auto known = feed_.get(key);
  const int64_t said = clock_ahead(known), say = noted_skew(said, ahead);
  if (kept && known && say == said) return {};
  if (!kept) {
    FL_TRY(ClusterSettings settings, this->settings());
    FL_CHECK(etcd_.grant_lease(lease, settings.lease_seconds));
  }
  Json document{{"apiVersion", 1}, {"node", who.name}, {"number", who.number}};
  if (say) document["clockAhead"] = say;
  FL_CHECK(etcd_.apply({}, {{store_key(key), dump_json(document), lease}}));
  return {};
}

Result<void> Registry::remove_member(const std::string& name) const {
  const std::string key = store_key("members/" + name);
  FL_TRY(auto document, etcd_.get(key));
  if (!document) return fail("there is no member named " + name + " in the cluster");
  FL_TRY(MemberRecord member, decode_member(document->value));
  if (member.role == "manager") {
    FL_TRY(auto members, etcd_.members());
    if (members.size() == 1) return fail(name + " is the last manager; the cluster would end");
    // One that was never started has no name yet.
    for (const auto& m : members)
      if (m.name == name || (m.name.empty() && is_at(m, peer_url(member.address)))) FL_CHECK(etcd_.remove_member(m.id));
  }
  FL_TRY(auto applied, etcd_.apply({{EtcdCompare::kModifiedAt, key, "", document->modified}},
                                   {{key, std::nullopt},
                                    {store_key("nodes/" + name), std::nullopt},
                                    {store_key("checks/" + name), std::nullopt},
                                    {store_key("certificates/" + name), std::nullopt},
                                    {store_key("live/" + name), std::nullopt},
                                    {store_key(kRemovals), name}}));
  if (!applied.done) return fail("member " + name + " changed meanwhile; try again");
  feed_.reach(applied.revision, 1000);
  return sweep();
}

Result<void> Registry::sweep() const {
  std::map<std::string, std::vector<EtcdChange>> orphans;  // by node
  const auto snapshot = feed_.snapshot([](const std::string& key) {
    for (const char* kind : {"endpoints/", "health/", "associations/", "members/"})
      if (key.starts_with(kind)) return true;
    return false;
  });
  for (const auto& document : snapshot.documents) {
    const std::string& key = document.first;  // clang 14 does not capture a structured binding
    auto parts = split_key(key);
    if (!parts || (*parts)[0] == "members") continue;
    auto orphan = [&](const std::string& node) {
      if (!snapshot.documents.count("members/" + node)) orphans[node].push_back({store_key(key), std::nullopt});
    };
    if (parts->size() == 4) orphan((*parts)[2]);
    if (parts->size() == 3) orphan((*parts)[1]);  // associations/NODE/PEER: NODE takes away what it has said to others
  }
  for (auto& [node, changes] : orphans) {
    for (size_t i = 0; i < changes.size(); i += kMaxEtcdChanges) {
      auto last = changes.begin() + static_cast<ptrdiff_t>(std::min(i + kMaxEtcdChanges, changes.size()));
      // Its name may have joined again meanwhile: those are then the new one's.
      FL_CHECK(etcd_.apply({{EtcdCompare::kAbsent, store_key("members/" + node)}},
                           {changes.begin() + static_cast<ptrdiff_t>(i), last}));
    }
  }
  return {};
}

}  // namespace fairlead::cluster
