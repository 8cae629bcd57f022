// How often something had to be put back, by kind: fairlead_repairs_total.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace fairlead::agent {

class Repairs {
 public:
  void add(const std::string& kind, uint64_t n = 1) { counts_[kind] += n; }
  void add(const Repairs& other) {
    for (const auto& [kind, n] : other.counts_) counts_[kind] += n;
  }
  bool any() const { return !counts_.empty(); }
  const std::map<std::string, uint64_t>& counts() const { return counts_; }
  // "2 route, 1 nft"; for the log
  std::string to_string() const {
    std::string text;
    for (const auto& [kind, n] : counts_) text += (text.empty() ? "" : ", ") + std::to_string(n) + " " + kind;
    return text;
  }

 private:
  std::map<std::string, uint64_t> counts_;
};

}  // namespace fairlead::agent
