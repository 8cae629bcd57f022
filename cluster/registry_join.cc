// Registry::join: a host becomes a member, or nothing has happened.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/names.h"
#include "cluster/channel.h"
#include "cluster/encoding.h"
#include "cluster/member_documents.h"
#include "cluster/registry.h"
#include "cluster/roles.h"
#include "state/node_record.h"

namespace fairlead::cluster {

struct Registry::Candidate {
  MemberRecord member;
  bool again = false;  // it has joined before and did not get the answer
  EtcdDocument token, counter;
  int64_t uses = 0;
  Json token_document;
};

namespace {

constexpr int kAttempts = 10, kLearnerWaits = 30;
constexpr unsigned kLearnerPauseUs = 500000;
constexpr int64_t kLearnerSeconds = 20;

Result<MemberRecord> read_request(const Json& request) {
  MemberRecord member;
  member.name = text_at(request, "name");
  FL_CHECK(check_object_name("node name", member.name));
  FL_TRY(member.address, parse_host_port(text_at(request, "address")));
  // The node's document must be one that all nodes will take.
  member.number = 1;
  FL_TRY(Json node, parse_json(node_document(member), "node"));
  FL_CHECK(decode_node(node, "node " + member.name));
  FL_TRY(member.key, request_key_digest(text_at(request, "request")));
  member.joined = wall_seconds();
  return member;
}

}  // namespace

Result<Registry::Candidate> Registry::examine(const std::string& token, const Json& request) const {
  Candidate candidate;
  FL_TRY(candidate.member, read_request(request));
  FL_TRY(auto stored, etcd_.get(store_key("tokens/" + token)));
  if (!stored) return fail("the token was removed meanwhile", EACCES);
  FL_TRY(candidate.token_document, parse_json(stored->value, "token"));
  auto proof = from_base64(text_at(request, "proof"));
  if (!proof || !equal_secrets(to_hex(sha256(*proof)), text_at(candidate.token_document, "proof")))
    return fail("the token is not valid", EACCES);
  candidate.uses = number_at(candidate.token_document, "uses");
  if (candidate.uses < 1 || number_at(candidate.token_document, "expires") <= wall_seconds())
    return fail("the token has expired or was used up", EACCES);
  candidate.token = std::move(*stored);
  MemberRecord& member = candidate.member;
  member.role = text_at(candidate.token_document, "role");
  FL_TRY(auto known, etcd_.get(store_key("members/" + member.name)));
  if (known) {
    FL_TRY(MemberRecord other, decode_member(known->value));
    candidate.again = other.key == member.key && other.role == member.role;
    if (!candidate.again)
      return fail("there is a member named " + member.name +
                      " already; choose another name (--name), or remove it first "
                      "on a manager with: fairleadctl cluster evict " +
                      member.name,
                  EEXIST);
    member.number = other.number;
    return candidate;
  }
  FL_TRY(auto members, etcd_.range({store_key("members/"), prefix_end(store_key("members/"))}));
  for (const auto& document : members.documents) {
    FL_TRY(MemberRecord other, decode_member(document.value));
    if (other.address.address == member.address.address && takes_part(other.role) && takes_part(member.role))
      return fail("the address " + member.address.address.to_string() + " is that of member " + other.name + " already",
                  EEXIST);
  }
  FL_TRY(auto counter, etcd_.get(store_key("counters/node")));
  if (!counter) return fail("the store has no counter of nodes");
  candidate.counter = std::move(*counter);
  member.number = static_cast<uint32_t>(strtoul(candidate.counter.value.c_str(), nullptr, 10)) + 1;
  if (member.number > kMaxNodeNumber) return fail("all numbers of nodes have been given");
  return candidate;
}

// One whose manager joined and never started would keep all others out. Only of those that were there before.
Result<void> Registry::remove_lost_learners(const std::vector<EtcdMember>& before) const {
  FL_TRY(auto now, etcd_.members());
  FL_TRY(auto records, etcd_.range({store_key("members/"), prefix_end(store_key("members/"))}));
  for (const auto& learner : now) {
    const bool was_there = std::any_of(before.begin(), before.end(), [&](const auto& m) { return m.id == learner.id; });
    if (!was_there || !learner.learner || !learner.name.empty()) continue;  // it has a name once it has started
    bool young = false;
    for (const auto& document : records.documents) {
      auto record = decode_member(document.value);
      // By another manager's clock, which may differ.
      young = young || (record && is_at(learner, peer_url(record->address)) &&
                        std::llabs(wall_seconds() - record->joined) < kLearnerSeconds);
    }
    if (young) continue;
    log_warning("cluster: a manager has joined and never started; others can join in its place");
    FL_CHECK(etcd_.remove_member(learner.id));
  }
  return {};
}

Result<void> Registry::add_etcd_member(const Candidate& candidate, Json& answer) const {
  const std::string url = peer_url(candidate.member.address);
  FL_TRY(auto members, etcd_.members());
  bool there = std::any_of(members.begin(), members.end(), [&](const EtcdMember& m) { return is_at(m, url); });
  const auto before = members;
  // A learner has no vote: one that never comes up stops nobody. It is promoted when it has caught up.
  // etcd takes one learner at a time, and none while a new voter is not quite there: it is a matter of seconds.
  for (int i = 0; !there; i++) {
    auto added = etcd_.add_learner(url);
    there = added.has_value();
    if (there) members = std::move(*added);
    const bool busy = !there && added.error().sys != ECONNREFUSED;
    if (busy && i == kLearnerWaits / 2) FL_CHECK(remove_lost_learners(before));
    if (!there && (!busy || i == kLearnerWaits)) return fail(added.error().with("no manager can join just now"));
    if (!there) ::usleep(kLearnerPauseUs);
  }
  std::string cluster;
  for (const auto& m : members)
    for (const auto& peer : m.peer_urls)
      cluster += (cluster.empty() ? "" : ",") + (peer == url ? candidate.member.name : m.name) + "=" + peer;
  FL_TRY(Authority authority, load_authority(paths_));
  FL_TRY(Authority peers, load_peer_authority(paths_));
  answer["etcdCluster"] = cluster;
  answer["authorityKey"] = authority.key;
  answer["peerAuthority"] = peers.certificate;
  answer["peerAuthorityKey"] = peers.key;
  return {};
}

// false: somebody was faster.
Result<bool> Registry::admit(Candidate& candidate, const Json& request, Json& answer) const {
  const MemberRecord& member = candidate.member;
  FL_TRY(ClusterSettings settings, this->settings());
  Identity who{self_.cluster, member.role, member.name, member.number};
  FL_TRY(std::string certificate,
         issue(who, member.address, text_at(request, "request"), settings.certificate_seconds));
  FL_TRY(Credentials own, load_credentials(paths_));
  answer = {{"certificate", certificate},
            {"authorities", own.authorities},
            {"cluster", self_.cluster},
            {"role", member.role},
            {"number", member.number}};
  FL_TRY(auto nodes, etcd_.range({store_key("members/"), prefix_end(store_key("members/"))}));
  for (const auto& document : nodes.documents) {
    FL_TRY(MemberRecord other, decode_member(document.value));
    if (other.role == "manager" && other.name != member.name) answer["managers"].push_back(to_text(other.address));
  }
  if (member.role == "manager") FL_CHECK(add_etcd_member(candidate, answer));
  if (candidate.again) return true;
  candidate.token_document["uses"] = candidate.uses - 1;
  std::vector<EtcdChange> changes{
      {store_key("members/" + member.name), encode(member)},
      {store_key("counters/node"), std::to_string(member.number)},
      {candidate.token.key, candidate.uses > 1 ? std::optional(dump_json(candidate.token_document)) : std::nullopt}};
  if (takes_part(member.role)) changes.push_back({store_key("nodes/" + member.name), node_document(member)});
  FL_TRY(auto applied, etcd_.apply({{EtcdCompare::kAbsent, store_key("members/" + member.name)},
                                    {EtcdCompare::kModifiedAt, candidate.counter.key, "", candidate.counter.modified},
                                    {EtcdCompare::kModifiedAt, candidate.token.key, "", candidate.token.modified}},
                                   changes));
  return applied.done;
}

Result<Json> Registry::join(const std::string& token, const Json& request) const {
  for (int i = 0; i < kAttempts; i++) {
    FL_TRY(Candidate candidate, examine(token, request));
    Json answer;
    FL_TRY(bool done, admit(candidate, request, answer));
    if (done) return answer;
  }
  return fail("too many join at once; try again");
}

}  // namespace fairlead::cluster
