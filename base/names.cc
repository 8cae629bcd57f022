#include "base/names.h"

#include <algorithm>

namespace fairlead {
namespace {
// Not <cctype>: its answers depend on the locale.
bool lower(char c) { return c >= 'a' && c <= 'z'; }
bool digit(char c) { return c >= '0' && c <= '9'; }
bool alnum(char c) { return lower(c) || digit(c) || (c >= 'A' && c <= 'Z'); }
}  // namespace

bool is_object_name(std::string_view name) {
  auto edge = [](char c) { return lower(c) || digit(c); };
  if (name.empty() || name.size() > 63 || !edge(name.front()) || !edge(name.back())) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) { return edge(c) || c == '_' || c == '.' || c == '-'; });
}

Result<void> check_object_name(std::string_view what, std::string_view name) {
  if (is_object_name(name)) return {};
  return fail(std::string(what) + " \"" + std::string(name.substr(0, 80)) +
              "\": expected 1 to 63 of a-z 0-9 _ . - with a letter or digit at both ends");
}

bool is_cni_id(std::string_view id) {
  if (id.empty() || !alnum(id.front())) return false;
  return std::all_of(id.begin(), id.end(), [](char c) { return alnum(c) || c == '_' || c == '.' || c == '-'; });
}

bool is_interface_name(std::string_view name) {
  if (name.empty() || name.size() > 15 || name == "." || name == "..") return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    auto byte = static_cast<unsigned char>(c);
    return byte > ' ' && byte < 0x7f && c != '/' && c != ':' && c != '%';
  });
}

bool is_dns_name(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  size_t label = 0;
  for (char c : name) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
      continue;
    }
    if (!(alnum(c) || c == '-' || c == '_') || ++label > 63) return false;
  }
  return label > 0;
}

bool is_machine_made_id(std::string_view id) {
  return id.size() >= 32 && id.find_first_not_of("0123456789abcdef") == id.npos;
}

std::string_view short_id(std::string_view id) { return is_machine_made_id(id) ? id.substr(0, 12) : id; }

}  // namespace fairlead
