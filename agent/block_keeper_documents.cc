// BlockKeeper: what the store says and what this node's own files say.
#include <sys/socket.h>

#include <algorithm>

#include <nlohmann/json.hpp>

#include "agent/block_keeper.h"
#include "base/file.h"
#include "cluster/document_check.h"
#include "cluster/roll_call.h"
#include "ipam/blocks.h"
#include "state/store.h"

namespace fairlead::agent {

// With what was known of it before, or what its file says.
void BlockKeeper::take_network(Entry& entry, Network network) {
  if (auto before = entries_.find(network.name); before != entries_.end()) {
    Entry kept = std::move(before->second);
    kept.wants4 = std::move(entry.wants4), kept.wants6 = std::move(entry.wants6);
    kept.asked4 = std::move(entry.asked4), kept.asked6 = std::move(entry.asked6);
    kept.stored = std::move(entry.stored);
    if (entry.disputed != kept.disputed && !kept.disputed.empty()) say(kept, "");
    kept.disputed = std::move(entry.disputed);
    kept.disputing = entry.disputing;
    entry = std::move(kept);
  } else {
    entry.network.name = network.name;
    load_file(entry);
  }
  entry.network = std::move(network);
  entry.ask_ms = entry.look_ms = 0;
  entry.refused.clear();
  entry.pending = true;
}

// The store as the managers told it.
void BlockKeeper::reload() {
  auto snapshot = member_.known().snapshot([](const std::string&) { return true; });
  seen_ = snapshot.revision;
  std::map<std::string, Entry> entries;
  awaited_.clear();
  calling_ = false;
  networks_.clear();
  constexpr std::string_view kNetworks = "networks/";
  for (const auto& [key, value] : snapshot.documents) {
    if (key.starts_with(kNetworks)) networks_.insert(key.substr(kNetworks.size()));
    auto json = parse_json(value, key);
    if (!json) continue;
    if (key == cluster::kRollCall) {
      calling_ = true;
      auto call = cluster::decode_roll_call(value);
      if (call && std::find(call->waiting.begin(), call->waiting.end(), self_.name) != call->waiting.end())
        awaited_ = call->id;
    } else if (key.starts_with("networks/")) {
      auto network = decode_network(*json, key);
      if (!network) continue;
      Entry& entry = entries[network->name];
      take_network(entry, std::move(*network));
    } else if (auto blocks = decode_node_blocks(*json, key)) {
      Entry& entry = entries[blocks->network];
      if (blocks->node == self_.name) {
        if (blocks->number != self_.number) continue;  // a former member's of this name
        entry.stored = blocks->blocks;
        entry.disputed = blocks->disputed;
        entry.wants4 = blocks->wants4;
        entry.wants6 = blocks->wants6;
      } else {
        for (const auto& [part, node] : blocks->disputed) entry.disputing = entry.disputing || node == self_.name;
        for (int family : {AF_INET, AF_INET6}) {
          std::string& asked = family == AF_INET ? entry.asked4 : entry.asked6;
          if (!blocks->wants(family).empty() && asked != "now") asked = blocks->wants(family);
        }
      }
    }
  }
  // One whose document is broken stays as it was.
  for (auto& [name, entry] : entries_)
    if (networks_.count(name) && (!entries.count(name) || entries[name].network.name.empty()))
      entries[name] = std::move(entry);
  std::erase_if(entries, [](const auto& entry) { return entry.second.network.name.empty(); });
  for (auto& [name, entry] : entries_)
    if (!entries.count(name)) say(entry, "");
  entries_ = std::move(entries);
  loaded_ = true;
  remove_all_own(false, "");
}

void BlockKeeper::load_file(Entry& entry) {
  const std::string path = paths_.blocks(entry.network.name, self_.name);
  auto text = read_file(path);
  if (!text || !*text || cluster::mark_of(**text) != self_.cluster) return;
  auto json = parse_json(**text, path);
  auto blocks = json ? decode_node_blocks(*json, path) : fail(json.error());
  if (!blocks || blocks->number != self_.number) return;
  entry.file = std::move(*blocks);
  entry.text = std::move(**text);
}

void BlockKeeper::remove_own(const std::string& network) {
  const std::string path = paths_.blocks(network, self_.name);
  auto text = read_file(path);
  if (text && *text && cluster::mark_of(**text) == self_.cluster) (void)remove_file(path);
}

// Own files of networks the cluster does not know (any more); with known_ones of all.
void BlockKeeper::remove_all_own(bool known_ones, const std::string& why) {
  auto networks = list_folders(paths_.blocks());
  if (!networks) return;
  for (const auto& name : *networks)
    if (known_ones || !networks_.count(name)) remove_own(name);
  if (!known_ones || why == told_) return;
  told_ = why;  // of networks nothing may be known but their files
  for (const auto& name : *networks) {
    if (make_folders(paths_.run + "/blocks"))
      (void)replace_file(ipam::trouble_path(paths_, name), why, Durability::kBoot);
  }
  for (auto& [name, entry] : entries_) {
    entry.file.reset();
    entry.text.clear();
    say(entry, why);
  }
}

// For ADDs that fail over it, and for people.
void BlockKeeper::say(Entry& entry, const std::string& trouble) {
  if (entry.trouble == trouble) return;
  entry.trouble = trouble;
  const std::string path = ipam::trouble_path(paths_, entry.network.name);
  member_.set_trouble("blocks/" + entry.network.name,
                      trouble.empty() ? "" : "addresses of network " + entry.network.name + ": " + trouble);
  if (trouble.empty())
    (void)remove_file(path);
  else if (make_folders(path.substr(0, path.rfind('/'))))
    (void)replace_file(path, trouble, Durability::kBoot);
}

}  // namespace fairlead::agent
