#include "ipam/resolv_conf.h"

#include <algorithm>

namespace fairlead::ipam {
namespace {

constexpr std::string_view kSpace = " \t\r\v\f";

std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words;
  for (size_t at = line.find_first_not_of(kSpace); at != line.npos; at = line.find_first_not_of(kSpace, at)) {
    size_t end = std::min(line.find_first_of(kSpace, at), line.size());
    words.emplace_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

}  // namespace

cni::Dns parse_resolv_conf(std::string_view text) {
  cni::Dns dns;
  while (!text.empty()) {
    auto words = words_of(text.substr(0, text.find('\n')));
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
    if (words.size() < 2 || words[0][0] == '#' || words[0][0] == ';') continue;
    auto values = words.begin() + 1;
    if (words[0] == "nameserver") dns.nameservers.push_back(*values);
    if (words[0] == "domain") dns.domain = *values;
    if (words[0] == "search") dns.search.insert(dns.search.end(), values, words.end());
    if (words[0] == "options") dns.options.insert(dns.options.end(), values, words.end());
  }
  return dns;
}

}  // namespace fairlead::ipam
