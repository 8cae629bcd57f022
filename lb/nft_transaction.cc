#include "lb/nft_table.h"

#include "overlay/names.h"

namespace fairlead::lb {
namespace {

const std::string kTable = std::string("inet ") + overlay::kLbTable;

// Writes commands in the order the kernel needs: what is referred to before what refers to it, and the other way
// round for what goes.
class Writer {
 public:
  explicit Writer(std::string* out) : out_(*out) {}

  void line(const std::string& text) { out_ += text + "\n"; }
  void rules(const std::string& chain, const std::vector<std::string>& rules, size_t first) {
    for (size_t i = first; i < rules.size(); i++) line("add rule " + kTable + " " + chain + " " + rules[i]);
  }
  void base_chain(const std::string& name, const std::vector<std::string>& chain) {
    line("add chain " + kTable + " " + name + (chain[0].empty() ? "" : " { " + chain[0] + " }"));
  }
  void affinity_map(const std::string& name, const std::string& type) {
    line("add map " + kTable + " " + name + " { type " + type + " : mark; flags dynamic,timeout; size 65535; }");
  }
  void elements(const char* verb, const std::string& set, const std::vector<std::string>& list) {
    // A command of a bounded length: nft's parser is slow on very long lines.
    constexpr size_t kPerLine = 200;
    for (size_t i = 0; i < list.size(); i += kPerLine) {
      std::string text = std::string(verb) + " element " + kTable + " " + set + " { ";
      for (size_t k = i; k < list.size() && k < i + kPerLine; k++) text += (k > i ? ", " : "") + list[k];
      line(text + " }");
    }
  }

 private:
  std::string& out_;
};

// Elements are deleted by their key.
std::string key_of(const std::string& element) { return element.substr(0, element.find(" : ")); }

const std::set<std::string>& elements_of(const NftTable* table, const std::string& set) {
  static const std::set<std::string> none;
  return table && table->elements.count(set) ? table->elements.at(set) : none;
}

void write_elements(Writer& w, const NftTable* from, const NftTable& to, bool additions) {
  for (const auto& [set, definition] : to.sets) {
    const auto& wanted = elements_of(&to, set);
    const auto& old = elements_of(from, set);
    std::vector<std::string> list;
    const auto& source = additions ? wanted : old;
    const auto& other = additions ? old : wanted;
    for (const auto& element : source)
      if (!other.count(element)) list.push_back(additions ? element : key_of(element));
    w.elements(additions ? "add" : "delete", set, list);
  }
}

// Chains whose rules change. New ones are made first: rules may refer to each other's chains.
void write_chains(Writer& w, const NftTable* from, const NftTable& to) {
  std::vector<const std::pair<const std::string, std::vector<std::string>>*> changed;
  for (const auto& chain : to.chains) {
    const bool old = from && from->chains.count(chain.first);
    if (old && from->chains.at(chain.first) == chain.second) continue;
    if (!old) w.line("add chain " + kTable + " " + chain.first);
    changed.push_back(&chain);
  }
  for (const auto* chain : changed) {
    w.line("flush chain " + kTable + " " + chain->first);
    w.rules(chain->first, chain->second, 0);
  }
}

// What `to` does not have goes.
void write_removals(Writer& w, const NftTable* from, const NftTable& to, const NftLeftovers& leftovers) {
  std::set<std::string> chains(leftovers.chains.begin(), leftovers.chains.end());
  std::map<std::string, std::string> sets;  // name → "set" or "map"
  for (const auto& name : leftovers.sets) sets[name] = "set";
  for (const auto& name : leftovers.maps) sets[name] = "map";
  if (from) {
    for (const auto& [name, rules] : from->chains) chains.insert(name);
    for (const auto& [name, rules] : from->base) chains.insert(name);
    for (const auto& [name, type] : from->affinity) sets[name] = "map";
    for (const auto& [name, definition] : from->sets) sets[name] = definition.substr(0, 3);
  }
  for (const auto& [name, rules] : to.chains) chains.erase(name);
  for (const auto& [name, rules] : to.base) chains.erase(name);
  for (const auto& [name, type] : to.affinity) sets.erase(name);
  for (const auto& [name, definition] : to.sets) sets.erase(name);
  for (const auto& chain : chains) w.line("flush chain " + kTable + " " + chain);
  for (const auto& chain : chains) w.line("delete chain " + kTable + " " + chain);
  for (const auto& [name, kind] : sets) w.line("delete " + kind + " " + kTable + " " + name);
}

void write_frame(Writer& w, const NftTable& to) {
  w.line("add table " + kTable);
  for (const auto& [name, definition] : to.sets) {
    std::string kind = definition.substr(0, 3);  // "set" or "map"
    w.line("add " + kind + " " + kTable + " " + name + definition.substr(3));
    w.line("flush " + kind + " " + kTable + " " + name);
  }
  for (const auto& [name, chain] : to.base) w.base_chain(name, chain);
  for (const auto& [name, chain] : to.base) {
    w.line("flush chain " + kTable + " " + name);
    w.rules(name, chain, 1);
  }
}

}  // namespace

std::string nft_transaction(const NftTable* from, const NftTable& to, const NftLeftovers& leftovers) {
  std::string text;
  if (from && *from == to) return text;
  // Base chains differ only when the network's gateway does or the balancer changes: then everything is written.
  const bool whole = !from || from->base != to.base || from->sets != to.sets;
  Writer w(&text);
  if (whole) write_frame(w, to);
  const NftTable* known = whole ? nullptr : from;
  if (!whole) write_elements(w, known, to, false);
  for (const auto& [name, type] : to.affinity)
    if (!known || !known->affinity.count(name)) w.affinity_map(name, type);
  write_chains(w, known, to);
  write_elements(w, known, to, true);
  write_removals(w, from, to, leftovers);
  return text;
}

std::string nft_replacement(const NftTable& to) {
  return "add table " + kTable + "\ndelete table " + kTable + "\n" + nft_transaction(nullptr, to);
}

}  // namespace fairlead::lb
