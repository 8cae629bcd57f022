#include "agent/association_documents.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "base/names.h"
#include "cluster/channel.h"
#include "cluster/node_keys.h"
#include "overlay/host_rules.h"
#include "state/node_name.h"
#include "state/node_record.h"
#include "state/store.h"

namespace fairlead::agent {
namespace {

// Calls read(name, path, text) for every document of a folder; what it complains about is a problem.
template <class Read>
Result<void> each_document(const std::string& folder, std::vector<std::string>& problems, Read read) {
  FL_TRY(auto names, list_documents(folder));
  for (const auto& name : names) {
    const std::string path = folder + "/" + name + ".json";
    auto text = read_file(path);
    if (!text || !*text) continue;
    Result<void> done = read(name, path, **text);
    if (!done) problems.push_back(done.error().message);
  }
  return {};
}

Result<void> add_port(const std::string& path, const std::string& text, std::set<uint16_t>& ports) {
  FL_TRY(Json json, parse_json(text, path));
  FL_TRY(Network network, decode_network(json, path));
  if (network.encryption == "ipsec") ports.insert(overlay::vxlan_port(network));
  return {};
}

Result<void> add_node(const std::string& path, const std::string& text, AssociationDocuments& documents) {
  FL_TRY(Json json, parse_json(text, path));
  FL_TRY(Node node, decode_node(json, path));
  if (node.name == documents.self) {
    documents.address = node.address;
    return {};
  }
  AssociationPeer peer{node.address, ""};
  const std::string key = cluster::text_at(json, "sealKey");
  if (!key.empty()) {
    FL_TRY(peer.seal_key, cluster::decode_public_key(key, path + ": /sealKey"));
  }
  documents.peers[node.name] = std::move(peer);
  return {};
}

Result<void> read_settings(const Paths& paths, AssociationDocuments& documents) {
  FL_TRY(auto text, read_file(paths.node_document()));
  if (!text) return {};
  FL_TRY(Json json, parse_json(*text, paths.node_document()));
  uint32_t packets = 0, megabytes = 0, port = kEspInUdpPort;
  std::string form = "auto";
  ObjectReader r(json, paths.node_document());
  r.optional("keyPackets", packets, 100, UINT32_MAX);
  r.optional("keyMegabytes", megabytes, 1, 1 << 24);
  r.optional("ipsecUdpPort", port, 1, UINT16_MAX);
  r.optional("ipsecEncapsulation", form);
  if (form != "auto" && form != "udp" && form != "none") r.problem("ipsecEncapsulation", "is not auto, udp or none");
  FL_CHECK(r.finish());
  if (packets) documents.limits.packets = packets;
  if (megabytes) documents.limits.bytes = uint64_t{megabytes} << 20;
  documents.udp_port = static_cast<uint16_t>(port);
  documents.encapsulation = form == "udp"    ? cluster::Encapsulation::kUdp
                            : form == "none" ? cluster::Encapsulation::kNone
                                             : cluster::Encapsulation::kAuto;
  return {};
}

Result<void> read_keys(const Paths& paths, AssociationDocuments& documents) {
  FL_TRY(auto text, read_file(cluster::epochs_path(paths)));
  if (text) {
    FL_TRY(documents.epochs, cluster::decode_epoch_list(*text, cluster::epochs_path(paths)));
  }
  FL_CHECK(
      each_document(cluster::sealed_copies_folder(paths), documents.problems,
                    [&](const std::string& name, const std::string& path, const std::string& copy) -> Result<void> {
                      FL_TRY(auto sealed, cluster::decode_sealed_copy(copy, path));
                      if (sealed.epoch == name) documents.copies[name] = std::move(sealed);
                      return {};
                    }));
  return each_document(cluster::remote_associations_folder(paths), documents.problems,
                       [&](const std::string& name, const std::string& path, const std::string& told) -> Result<void> {
                         FL_TRY(auto document, cluster::decode_association(told, path));
                         if (document.node == name) documents.told[name] = std::move(document);
                         return {};
                       });
}

}  // namespace

Result<AssociationDocuments> read_association_documents(const Paths& paths) {
  AssociationDocuments documents;
  std::set<uint16_t> ports;
  FL_CHECK(each_document(paths.networks(), documents.problems,
                         [&](const std::string&, const std::string& path, const std::string& text) {
                           return add_port(path, text, ports);
                         }));
  documents.ports.assign(ports.begin(), ports.end());
  if (ports.empty()) return documents;
  FL_TRY(documents.self, node_name(paths));
  FL_CHECK(each_document(paths.nodes(), documents.problems,
                         [&](const std::string&, const std::string& path, const std::string& text) {
                           return add_node(path, text, documents);
                         }));
  std::erase_if(documents.peers, [&](const auto& item) {
    return item.second.address.family() != documents.address.family() || item.second.address == documents.address;
  });
  FL_CHECK(read_settings(paths, documents));
  FL_CHECK(read_keys(paths, documents));
  return documents;
}

std::map<std::string, cluster::AssociationDocument> read_own_associations(const Paths& paths, const std::string& self) {
  std::map<std::string, cluster::AssociationDocument> own;
  std::vector<std::string> bad;  // written anew
  (void)each_document(cluster::associations_folder(paths), bad,
                      [&](const std::string& name, const std::string& path, const std::string& text) -> Result<void> {
                        FL_TRY(auto document, cluster::decode_association(text, path));
                        if (document.node == self && document.peer == name) own[name] = std::move(document);
                        return {};
                      });
  return own;
}

Result<void> write_own_associations(const Paths& paths,
                                    const std::map<std::string, cluster::AssociationDocument>& documents,
                                    std::map<std::string, cluster::AssociationDocument>& written) {
  const std::string folder = cluster::associations_folder(paths);
  if (!documents.empty()) FL_CHECK(make_folders(folder));
  for (const auto& [peer, document] : documents) {
    auto known = written.find(peer);
    if (known != written.end() && known->second == document) continue;
    FL_CHECK(replace_file(folder + "/" + peer + ".json", encode(document) + "\n", Durability::kBoot));
    written[peer] = document;
  }
  for (auto it = written.begin(); it != written.end();) {
    if (documents.count(it->first)) {
      ++it;
      continue;
    }
    FL_CHECK(remove_file(folder + "/" + it->first + ".json"));
    it = written.erase(it);
  }
  return {};
}

}  // namespace fairlead::agent
