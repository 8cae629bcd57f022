#include "cluster/membership.h"

#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <mutex>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "base/names.h"
#include "cluster/channel.h"
#include "cluster/document_check.h"
#include "cluster/roles.h"
#include "state/store.h"

namespace fairlead::cluster {
namespace {

Result<HostPort> host_port_at(const Json& json, const char* key, const std::string& path) {
  auto where = parse_host_port(text_at(json, key));
  if (!where) return fail(where.error().with(path + ": /" + key));
  return where;
}

Result<Membership> decode(const Json& json, const std::string& path) {
  Membership m;
  m.cluster = text_at(json, "cluster");
  m.name = text_at(json, "name");
  m.role = text_at(json, "role");
  m.number = static_cast<uint32_t>(number_at(json, "number"));
  if (!is_object_name(m.cluster) || !is_object_name(m.name) || !is_role(m.role))
    return fail(path + ": cluster, name or role is missing or wrong");
  FL_TRY(m.address, host_port_at(json, "address", path));
  m.etcd_cluster = text_at(json, "etcdCluster");
  m.founder = flag_at(json, "founder");
  m.certificate_seconds = number_at(json, "certificateSeconds");
  m.lease_seconds = number_at(json, "leaseSeconds");
  m.key_seconds = number_at(json, "keySeconds");
  m.block_grace_seconds = number_at(json, "blockGraceSeconds", kBlockGraceSeconds);
  auto managers = json.find("managers");
  if (managers != json.end() && managers->is_array())
    for (const auto& item : *managers)
      if (auto where = parse_host_port(item.is_string() ? item.get<std::string>() : "")) m.managers.push_back(*where);
  if (m.managers.empty()) return fail(path + ": /managers: there is none");
  return m;
}

Result<void> renew_as(const Authority& authority, const std::string& path, const Issue& issue) {
  FL_TRY(std::string key, make_key());
  FL_TRY(std::string request, make_request(key));
  FL_TRY(std::string certificate, issue_certificate(authority, request, issue));
  return save_secret(path, key + certificate);
}

}  // namespace

std::string membership_path(const Paths& paths) { return paths.state + "/cluster.json"; }

std::string remote_path(const Paths& paths) { return paths.state + "/cluster-remote.json"; }

Result<std::optional<Membership>> load_membership(const Paths& paths) {
  const std::string path = membership_path(paths);
  FL_TRY(auto text, read_file(path));
  if (!text) return std::nullopt;
  FL_TRY(Json json, parse_json(*text, path));
  if (!json.is_object()) return fail(path + ": it is no object");
  FL_TRY(Membership membership, decode(json, path));
  return std::optional<Membership>(std::move(membership));
}

Result<void> save_membership(const Paths& paths, const Membership& m) {
  Json json{{"apiVersion", 1}, {"cluster", m.cluster}, {"name", m.name},
            {"role", m.role},  {"number", m.number},   {"address", to_text(m.address)}};
  for (const auto& manager : m.managers) json["managers"].push_back(to_text(manager));
  if (!m.etcd_cluster.empty()) json["etcdCluster"] = m.etcd_cluster;
  if (m.founder) {
    json["founder"] = true;
    json["certificateSeconds"] = m.certificate_seconds;
    json["leaseSeconds"] = m.lease_seconds;
    json["keySeconds"] = m.key_seconds;
    json["blockGraceSeconds"] = m.block_grace_seconds;
  }
  return replace_file(membership_path(paths), dump_json(json) + "\n", Durability::kDurable);
}

Result<void> update_membership(const Paths& paths, const std::function<void(Membership&)>& change) {
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  FL_TRY(auto membership, load_membership(paths));
  if (!membership) return fail("this node is in no cluster any more", ENOENT);
  change(*membership);
  return save_membership(paths, *membership);
}

Result<void> save_secret(const std::string& path, const std::string& text) {
  FL_CHECK(make_folders(path.substr(0, path.rfind('/')), 0700));
  return replace_file(path, text, Durability::kDurable, 0600);
}

Result<std::string> load_secret(const std::string& path) {
  FL_TRY(auto text, read_file(path));
  if (!text) return fail(path + " is missing; the node has to leave the cluster and join again", ENOENT);
  return std::move(*text);
}

Result<Credentials> load_credentials(const Paths& paths) {
  PkiPaths pki(paths);
  FL_TRY(std::string own, load_secret(pki.own()));
  FL_TRY(std::string authorities, load_secret(pki.authorities()));
  return Credentials{std::move(own), std::move(authorities)};
}

Result<Authority> load_authority(const Paths& paths) {
  PkiPaths pki(paths);
  FL_TRY(std::string key, load_secret(pki.authority_key()));
  if (auto whole = parse_authority(key)) return whole;
  // As founded: the key alone, and one certificate.
  FL_TRY(std::string certificate, load_secret(pki.authorities()));
  return Authority{std::move(certificate), std::move(key), ""};
}

Result<Authority> load_authority_file(const std::string& path) {
  FL_TRY(std::string pem, load_secret(path));
  return parse_authority(pem);
}

Result<Authority> load_peer_authority(const Paths& paths) {
  PkiPaths pki(paths);
  FL_TRY(std::string certificate, load_secret(pki.peer_authority()));
  FL_TRY(std::string key, load_secret(pki.peer_authority_key()));
  return Authority{std::move(certificate), std::move(key), ""};
}

Result<void> renew_peer_certificate(const Paths& paths, const Membership& self, int64_t seconds) {
  FL_TRY(Authority authority, load_peer_authority(paths));
  Issue issue{{self.cluster, "etcd", self.name, self.number}, self.address.address, true, wall_seconds(), seconds};
  return renew_as(authority, PkiPaths(paths).peer(), issue);
}

Result<void> renew_manager_certificate(const Paths& paths, const Membership& self, int64_t seconds) {
  FL_TRY(Authority authority, load_authority(paths));
  Issue issue{{self.cluster, self.role, self.name, self.number}, self.address.address, true, wall_seconds(), seconds};
  return renew_as(authority, PkiPaths(paths).own(), issue);
}

std::string peer_url(const HostPort& address) {
  HostPort peer = address;
  peer.port++;
  return "https://" + to_text(peer);
}

namespace {

Result<void> discard(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return fail("remove " + path + ": " + error.message(), error.value());
  return {};
}

// What is in the folders of run/remote/. The folders themselves stay: daemons watch them and make them again at once
// when they vanish, so that removing their parent fails.
Result<void> empty_remote(const std::string& remote) {
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(remote, none)) {
    if (!entry.is_directory(none)) FL_CHECK(discard(entry.path().string()));
    for (const auto& below : std::filesystem::directory_iterator(entry.path(), none))
      FL_CHECK(discard(below.path().string()));
  }
  return {};
}

}  // namespace

Result<void> forget_membership(const Paths& paths) {
  FL_CHECK(remove_file(membership_path(paths)));
  FL_TRY(auto nodes, list_documents(paths.state + "/nodes"));
  for (const auto& name : nodes) {
    const std::string path = paths.state + "/nodes/" + name + ".json";
    FL_TRY(auto text, read_file(path));
    if (text && !mark_of(*text).empty()) FL_CHECK(remove_file(path));
  }
  // Its addresses, too: they will be others'.
  FL_TRY(auto networks, list_folders(paths.blocks()));
  for (const auto& network : networks) {
    FL_TRY(auto owners, list_documents(paths.blocks(network)));
    for (const auto& owner : owners) {
      FL_TRY(auto text, read_file(paths.blocks(network, owner)));
      if (text && !mark_of(*text).empty()) FL_CHECK(remove_file(paths.blocks(network, owner)));
    }
  }
  for (const auto& folder : {paths.state + "/pki", paths.state + "/etcd", paths.run + "/etcd"})
    FL_CHECK(discard(folder));
  FL_CHECK(empty_remote(paths.run + "/remote"));
  FL_CHECK(remove_file(paths.state + "/cluster-revision.json"));
  FL_CHECK(remove_file(remote_path(paths)));
  return {};
}

}  // namespace fairlead::cluster
