#include "cluster/enrol.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/names.h"
#include "cluster/channel.h"
#include "cluster/encoding.h"
#include "cluster/join_hello.h"

namespace fairlead::cluster {
namespace {

constexpr int kConnectMs = 5000, kHandshakeMs = 8000, kJoinMs = 30000;

// Held while a node becomes a member.
Result<Fd> begin(const Paths& paths, const std::string& name) {
  FL_CHECK(check_object_name("node name", name));
  FL_CHECK(make_folders(paths.state));
  auto lock = lock_file(paths.state + "/.cluster.lock", 0);
  if (!lock) return fail("another fairleadctl cluster command is at work on this node");
  FL_TRY(auto member, load_membership(paths));
  if (member)
    return fail("this node is in cluster " + member->cluster + " already, as " + member->role + " " + member->name +
                "; leave it first with: fairleadctl cluster leave");
  return lock;
}

// Only who can listen there is who he says he is to the others.
Result<void> check_own(const HostPort& address) {
  for (uint16_t port : {address.port, static_cast<uint16_t>(address.port + 1)}) {
    auto listener = listen_on({address.address, port});
    if (!listener) return fail(listener.error().with("this node cannot be a manager at " + to_text(address)));
  }
  return {};
}

Result<Address> own_address(const Fd& socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return fail_errno("read", "own address");
  if (address.ss_family == AF_INET)
    return Address::from_bytes(AF_INET, &reinterpret_cast<sockaddr_in*>(&address)->sin_addr);
  return Address::from_bytes(AF_INET6, &reinterpret_cast<sockaddr_in6*>(&address)->sin6_addr);
}

Result<Membership> read_answer(const Json& answer, const std::string& name, const HostPort& address) {
  Membership m;
  m.cluster = text_at(answer, "cluster");
  m.name = name;
  m.role = text_at(answer, "role");
  m.number = static_cast<uint32_t>(number_at(answer, "number"));
  m.address = address;
  for (const auto& item : answer.value("managers", Json::array()))
    if (auto where = parse_host_port(item.is_string() ? item.get<std::string>() : "")) m.managers.push_back(*where);
  m.etcd_cluster = text_at(answer, "etcdCluster");
  if (m.managers.empty() || !is_object_name(m.cluster)) return fail("the manager's answer makes no sense");
  return m;
}

Result<void> save_answer(const Paths& paths, const Json& answer, const std::string& key, Membership& m) {
  PkiPaths pki(paths);
  FL_TRY(CertificateInfo info, inspect_certificate(text_at(answer, "certificate")));
  FL_CHECK(save_secret(pki.own(), key + text_at(answer, "certificate")));
  FL_CHECK(save_secret(pki.authorities(), text_at(answer, "authorities")));
  if (m.is_manager()) {
    FL_CHECK(save_secret(pki.authority_key(), text_at(answer, "authorityKey")));
    FL_CHECK(save_secret(pki.peer_authority(), text_at(answer, "peerAuthority")));
    FL_CHECK(save_secret(pki.peer_authority_key(), text_at(answer, "peerAuthorityKey")));
    FL_CHECK(renew_peer_certificate(paths, m, info.not_after - wall_seconds()));
    m.managers.insert(m.managers.begin(), m.address);
  }
  FL_CHECK(save_membership(paths, m));
  FL_CHECK(remove_file(pki.joining()));
  return {};
}

// The key of a join that was begun before and may have been granted, or a new one.
Result<std::string> joining_key(const Paths& paths) {
  PkiPaths pki(paths);
  FL_TRY(auto key, read_file(pki.joining()));
  if (key) return std::move(*key);
  FL_CHECK(forget_membership(paths));  // what a cluster left behind that was left half
  FL_TRY(std::string made, make_key());
  FL_CHECK(save_secret(pki.joining(), made));
  return made;
}

Result<Json> ask_to_join(Secured secured, const Token& token, Json request, bool& asked) {
  StopSignal never;
  Channel channel(std::move(secured.transport), never);
  FL_TRY(auto hello, channel.receive(kSmallMessage, kJoinMs));
  if (!hello) return fail("the manager has closed the connection");
  FL_CHECK(check_hello(*hello, token, secured.binding, wall_seconds()));
  request["proof"] = to_base64(join_proof(token));
  asked = true;
  FL_CHECK(channel.send(request, kJoinMs));
  FL_TRY(auto answer, channel.receive(kSmallMessage, kJoinMs));
  if (!answer) return fail("the manager has closed the connection", ECONNRESET);
  if (answer->contains("error")) asked = false;  // refused: nothing has happened
  if (answer->contains("error")) return fail(text_at(*answer, "error"));
  return std::move(*answer);
}

}  // namespace

Result<Membership> found_cluster(const Paths& paths, const InitOptions& options) {
  FL_TRY(Fd lock, begin(paths, options.name));
  FL_CHECK(check_own(options.address));
  FL_CHECK(forget_membership(paths));
  Membership m;
  m.cluster = to_hex(random_bytes(8));
  m.name = options.name;
  m.role = "manager";
  m.number = 1;
  m.address = options.address;
  m.managers = {m.address};
  m.etcd_cluster = m.name + "=" + peer_url(m.address);
  m.founder = true;
  m.certificate_seconds = options.certificate_seconds;
  m.lease_seconds = options.lease_seconds;
  m.key_seconds = options.key_seconds;
  m.block_grace_seconds = options.block_grace_seconds;
  PkiPaths pki(paths);
  FL_TRY(Authority nodes, make_authority(m.cluster, "nodes", wall_seconds()));
  FL_TRY(Authority peers, make_authority(m.cluster, "etcd", wall_seconds()));
  FL_CHECK(save_secret(pki.authorities(), nodes.certificate));
  FL_CHECK(save_secret(pki.authority_key(), nodes.key));
  FL_CHECK(save_secret(pki.peer_authority(), peers.certificate));
  FL_CHECK(save_secret(pki.peer_authority_key(), peers.key));
  FL_CHECK(renew_manager_certificate(paths, m, m.certificate_seconds));
  FL_CHECK(renew_peer_certificate(paths, m, m.certificate_seconds));
  FL_CHECK(save_membership(paths, m));
  return m;
}

Result<Membership> join_cluster(const Paths& paths, const Token& token, const JoinOptions& options) {
  FL_TRY(Fd lock, begin(paths, options.name));
  const std::string where = "join at " + to_text(options.manager);
  StopSignal never;
  auto socket = connect_to(options.manager, kConnectMs, never);
  if (!socket) return fail(socket.error().with(where));
  HostPort address = options.address;
  if (!address.address) {
    FL_TRY(address.address, own_address(*socket));
  }
  auto secured = secure_joiner(std::move(*socket), token, kHandshakeMs, never);
  if (!secured) return fail(secured.error().with(where));
  FL_TRY(std::string key, joining_key(paths));
  FL_TRY(std::string request, make_request(key));
  bool asked = false;
  auto answer =
      ask_to_join(std::move(*secured), token,
                  {{"op", "join"}, {"name", options.name}, {"address", to_text(address)}, {"request", request}}, asked);
  if (!answer) {
    // Once asked and not answered, it may have been granted: the key stays, and the same command finishes it.
    if (!asked) FL_CHECK(forget_membership(paths));
    return fail(answer.error().with(where));
  }
  FL_TRY(Membership m, read_answer(*answer, options.name, address));
  FL_CHECK(save_answer(paths, *answer, key, m));
  return m;
}

}  // namespace fairlead::cluster
