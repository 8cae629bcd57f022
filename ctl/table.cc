#include "ctl/table.h"

#include <algorithm>

namespace fairlead::ctl {
namespace {

std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
  return text;
}

// Columns, not bytes: continuation bytes of UTF-8 take no room.
size_t width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

std::string table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> lines{header};
  for (const auto& row : rows) {
    auto& line = lines.emplace_back();
    for (const auto& cell : row) line.push_back(cell.empty() ? "-" : printable(cell));
  }
  std::vector<size_t> widths(header.size());
  for (const auto& line : lines)
    for (size_t i = 0; i < line.size() && i < widths.size(); i++) widths[i] = std::max(widths[i], width(line[i]));

  std::string out;
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); i++) {
      out += line[i];
      if (i + 1 < line.size()) out.append(widths[i] - width(line[i]) + 2, ' ');
    }
    out += '\n';
  }
  return out;
}

std::string list(const std::vector<std::pair<std::string, std::string>>& fields) {
  size_t widest = 0;
  for (const auto& [key, value] : fields)
    if (!value.empty()) widest = std::max(widest, key.size());
  std::string out;
  for (const auto& [key, value] : fields)
    if (!value.empty()) out += key + ":" + std::string(widest - key.size() + 2, ' ') + printable(value) + "\n";
  return out;
}

std::string join(const std::vector<std::string>& words, const std::string& between) {
  std::string out;
  for (const auto& word : words) {
    if (!out.empty()) out += between;
    out += word;
  }
  return out;
}

}  // namespace fairlead::ctl
