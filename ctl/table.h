// Text for people: columns that line up, "key: value" lists, joined words.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace fairlead::ctl {

// Columns as wide as their widest cell, two spaces between them, no space at the end of a line. An empty cell is "-".
// Control characters (names in documents edited by hand) become '?', so that nothing can play with the terminal.
std::string table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows);

// One "key:  value" line each, values lined up; empty values are left out.
std::string list(const std::vector<std::pair<std::string, std::string>>& fields);

std::string join(const std::vector<std::string>& words, const std::string& between = " ");

// to_string() of each.
template <class T>
std::vector<std::string> texts(const std::vector<T>& values) {
  std::vector<std::string> out;
  for (const auto& value : values) out.push_back(value.to_string());
  return out;
}

}  // namespace fairlead::ctl
