#include "cluster/mirror.h"

#include <unistd.h>

#include <cerrno>

#include "base/fd.h"
#include "base/file.h"
#include "base/names.h"
#include "cluster/document_check.h"
#include "cluster/epoch_seal.h"
#include "cluster/key_documents.h"
#include "state/store.h"

namespace fairlead::cluster {
namespace {

constexpr int kLockMs = 10000;
// A store that says at once that nearly all is gone is not believed before it has shown whose it is.
constexpr const char* kProof = "cluster/settings";

}  // namespace

// Keys that are no files of a node have no place.
std::optional<Mirror::Place> Mirror::place_of(const std::string& key) const {
  auto split = split_key(key);
  if (!split) return std::nullopt;
  const auto& parts = *split;
  Place place;
  if (parts[0] == "networks" && parts.size() == 2) {
    place = {paths_.network(parts[1]), paths_.networks(), paths_.networks() + "/.lock", true};
  } else if (parts[0] == "services" && parts.size() == 3) {
    place = {paths_.service(parts[1], parts[2]), paths_.services(parts[1]), paths_.services() + "/.lock", true};
  } else if (parts[0] == "nodes" && parts.size() == 2) {
    place = {paths_.state + "/nodes/" + parts[1] + ".json", paths_.state + "/nodes", "", true};
  } else if (parts[0] == "blocks" && parts.size() == 3 && parts[2] != self_) {
    // A node's own is written by whoever gives its addresses back, too: agent/block_keeper.h.
    place = {paths_.blocks(parts[1], parts[2]), paths_.blocks(parts[1]), "", true};
  } else if ((parts[0] == "endpoints" || parts[0] == "health") && parts.size() == 4) {
    place.folder = paths_.run + "/remote/" + parts[0] + "/" + parts[1] + "/" + parts[2];
    place.path = place.folder + "/" + parts[3] + ".json";
  } else if (!place_of_keys(parts, place)) {
    return std::nullopt;
  }
  return place;
}

bool Mirror::place_of_keys(const std::vector<std::string>& parts, Place& place) const {
  place.folder = paths_.run + "/remote";
  if (parts[0] == "keys" && parts.size() == 2 && parts[1] == "epochs") {
    place.path = epochs_path(paths_);
  } else if (parts[0] == "keys" && parts.size() == 3 && parts[1] == self_ && is_epoch_id(parts[2])) {
    place.folder = sealed_copies_folder(paths_);
    place.path = place.folder + "/" + parts[2] + ".json";
    place.mode = 0600;
    place.folder_mode = 0700;
  } else if (parts[0] == "associations" && parts.size() == 3 && parts[2] == self_ && is_object_name(parts[1])) {
    place.folder = remote_associations_folder(paths_);
    place.path = place.folder + "/" + parts[1] + ".json";
  } else {
    return false;
  }
  return true;
}

bool Mirror::shown(const std::string& key) const {
  auto parts = split_key(key);
  if (!parts || parts->size() != 4) return true;
  const std::string& node = (*parts)[2];
  return node != self_ && documents_.count("live/" + node);
}

Result<void> Mirror::write(const std::string& key, const Place& place, const std::string& value) {
  if (auto good = check_document(key, value); !good) {
    problems_[key] = good.error().with("the cluster's document").message;
    return {};
  }
  std::string text = value;
  if (place.durable) {
    FL_TRY(text, with_mark(value, cluster_));
  }
  FL_TRY(auto there, read_file(place.path));
  problems_.erase(key);
  if (there && *there == text) return {};
  if (there && place.durable && mark_of(*there) != cluster_) {
    auto mine = with_mark(*there, cluster_);
    if (!mine || *mine != text) {
      problems_[key] = place.path + " is this node's own and differs from the cluster's document; remove or rename it";
      return {};
    }
  }
  const Durability durability = place.durable ? Durability::kDurable : Durability::kBoot;
  auto written = replace_file(place.path, text, durability, place.mode);
  if (written || written.error().sys != ENOENT) return written;
  FL_CHECK(make_folders(place.folder.substr(0, place.folder.rfind('/'))));
  FL_CHECK(make_folders(place.folder, place.folder_mode));
  return replace_file(place.path, text, durability, place.mode);
}

Result<void> Mirror::remove(const Place& place) {
  FL_TRY(auto there, read_file(place.path));
  if (!there || (place.durable && mark_of(*there) != cluster_)) return {};
  FL_CHECK(remove_file(place.path));
  if (!place.durable) ::rmdir(place.folder.c_str());  // fails while there are others, and may
  return {};
}

Result<void> Mirror::settle(const std::string& key) {
  auto place = place_of(key);
  if (!place) return {};
  Fd lock;
  if (!place->lock.empty()) {
    FL_CHECK(make_folders(place->lock.substr(0, place->lock.rfind('/'))));
    FL_TRY(lock, lock_file(place->lock, kLockMs));
  }
  auto document = documents_.find(key);
  if (document != documents_.end() && shown(key)) return write(key, *place, document->second);
  problems_.erase(key);
  return remove(*place);
}

// One that cannot be written does not stop the others; the first error is returned.
Result<void> Mirror::settle_all(const std::set<std::string>& keys) {
  Result<void> outcome;
  for (const auto& key : keys) {
    auto done = settle(key);
    if (!done && outcome) outcome = fail(done.error());
  }
  return outcome;
}

Result<std::vector<std::string>> Mirror::keys_on_disk() const {
  std::vector<std::string> keys;
  FL_TRY(auto networks, list_documents(paths_.networks()));
  for (const auto& name : networks) keys.push_back("networks/" + name);
  FL_TRY(auto nodes, list_documents(paths_.state + "/nodes"));
  for (const auto& name : nodes) keys.push_back("nodes/" + name);
  FL_TRY(auto folders, list_folders(paths_.services()));
  for (const auto& network : folders) {
    FL_TRY(auto services, list_documents(paths_.services(network)));
    for (const auto& name : services) keys.push_back("services/" + network + "/" + name);
  }
  FL_TRY(auto divided, list_folders(paths_.blocks()));
  for (const auto& network : divided) {
    FL_TRY(auto owners, list_documents(paths_.blocks(network)));
    for (const auto& node : owners) keys.push_back("blocks/" + network + "/" + node);
  }
  for (const char* kind : {"endpoints", "health"}) {
    const std::string top = paths_.run + "/remote/" + kind;
    FL_TRY(auto remote, list_folders(top));
    for (const auto& network : remote) {
      FL_TRY(auto of_nodes, list_folders(top + "/" + network));
      for (const auto& node : of_nodes) {
        std::string folder = network;
        folder += "/" + node;
        FL_TRY(auto documents, list_documents(top + "/" + folder));
        for (const auto& name : documents) keys.push_back(std::string(kind) + "/" + folder + "/" + name);
      }
    }
  }
  FL_TRY(auto epochs, read_file(epochs_path(paths_)));
  if (epochs) keys.emplace_back("keys/epochs");
  FL_TRY(auto copies, list_documents(sealed_copies_folder(paths_)));
  for (const auto& name : copies) keys.push_back("keys/" + self_ + "/" + name);
  FL_TRY(auto associations, list_documents(remote_associations_folder(paths_)));
  for (const auto& name : associations) keys.push_back("associations/" + name + "/" + self_);
  return keys;
}

Result<void> Mirror::replace(Feed::Documents documents) {
  if (!documents.count(kProof))
    return fail("the managers' store does not say which cluster it is of; nothing is changed");
  documents_ = std::move(documents);
  problems_.clear();
  std::set<std::string> keys;
  for (const auto& [key, value] : documents_) keys.insert(key);
  FL_TRY(auto on_disk, keys_on_disk());
  keys.insert(on_disk.begin(), on_disk.end());
  return settle_all(keys);
}

// In words; empty when there is none.
Result<std::string> Mirror::difference(const std::string& key) const {
  auto place = place_of(key);
  if (!place) return "";
  FL_TRY(auto there, read_file(place->path));
  auto document = documents_.find(key);
  if (document == documents_.end() || !shown(key)) {
    if (!there || (place->durable && mark_of(*there) != cluster_)) return "";
    return document == documents_.end() ? "is here, but not in the store" : "is here, but its node is not live";
  }
  if (auto good = check_document(key, document->second); !good) return "in the store " + good.error().message;
  if (!there) return "is missing here";
  std::string text = document->second;
  if (place->durable) {
    FL_TRY(text, with_mark(text, cluster_));
  }
  return *there == text ? "" : "differs from the store";
}

Result<std::map<std::string, std::string>> Mirror::compare(Feed::Documents documents) {
  documents_ = std::move(documents);
  std::map<std::string, std::string> differences;
  FL_TRY(auto keys, keys_on_disk());
  for (const auto& [key, value] : documents_) keys.push_back(key);
  for (const auto& key : keys) {
    FL_TRY(std::string text, difference(key));
    if (!text.empty()) differences[key] = std::move(text);
  }
  return differences;
}

Result<void> Mirror::apply(const std::vector<EtcdEvent>& events) {
  std::set<std::string> keys, nodes;
  for (const auto& event : events) {
    const bool was = documents_.count(event.key) > 0;
    if (event.value)
      documents_[event.key] = *event.value;
    else
      documents_.erase(event.key);
    keys.insert(event.key);
    constexpr std::string_view kLive = "live/";
    if (event.key.starts_with(kLive) && was != event.value.has_value()) nodes.insert(event.key.substr(kLive.size()));
  }
  for (auto it = documents_.begin(); !nodes.empty() && it != documents_.end(); ++it) {
    auto parts = split_key(it->first);
    if (parts && parts->size() == 4 && nodes.count((*parts)[2])) keys.insert(it->first);
  }
  return settle_all(keys);
}

Result<void> Mirror::narrow(const Scope& scope, Feed::Documents added) {
  std::vector<EtcdEvent> events;
  for (const auto& [key, value] : documents_)
    if (!in_scope(scope, key)) events.push_back({key, std::nullopt, 0});
  for (auto& [key, value] : added) events.push_back({key, std::move(value), 0});
  return apply(events);
}

}  // namespace fairlead::cluster
