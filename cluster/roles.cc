#include "cluster/roles.h"

#include <algorithm>
#include <array>

namespace fairlead::cluster {
namespace {

// In a pattern * is one segment, {me} the name of who asks; roles: m manager, n node, o operator, v viewer. A key that
// no row matches is nobody's.
struct Row {
  std::string_view pattern, readers, writers;
};
constexpr std::array kTable = {
    Row{"cluster/*", "mnov", ""},
    Row{"networks/*", "mnov", "mo"},
    Row{"services/*/*", "mnov", "mo"},
    Row{"nodes/*", "mnov", ""},
    Row{"live/{me}", "mnov", "mn"},
    Row{"live/*", "mnov", ""},
    Row{"endpoints/*/{me}/*", "mnov", "mn"},
    Row{"endpoints/*/*/*", "mnov", ""},
    Row{"health/*/{me}/*", "mnov", "mn"},
    Row{"health/*/*/*", "mnov", ""},
    Row{"blocks/*/{me}", "mnov", "mn"},
    Row{"blocks/*/*", "mnov", ""},
    Row{"check/wanted", "mn", "m"},
    Row{"checks/{me}", "mn", "mn"},
    Row{"checks/*", "m", ""},
    Row{"public-keys/{me}", "", "mn"},
    Row{"keys/epochs", "mnov", "m"},
    Row{"keys/{me}/*", "mn", ""},
    Row{"associations/{me}/*", "mn", "mn"},
    Row{"associations/*/{me}", "mn", ""},
    Row{"members/{me}", "mnov", "mnov"},
    Row{"members/*", "m", "m"},
    Row{"certificates/{me}", "mnov", "mnov"},
    Row{"authority/*", "m", "m"},
    Row{"tokens/*", "", "m"},
};

bool matches(std::string_view pattern, std::string_view key, std::string_view me) {
  for (;;) {
    auto p = pattern.substr(0, pattern.find('/')), k = key.substr(0, key.find('/'));
    if (k.empty() || (p == "{me}" ? k != me : p != "*" && p != k)) return false;
    bool last_p = p.size() == pattern.size(), last_k = k.size() == key.size();
    if (last_p || last_k) return last_p && last_k;
    pattern.remove_prefix(p.size() + 1);
    key.remove_prefix(k.size() + 1);
  }
}

std::string roles_text(std::string_view letters) {
  std::string text;
  for (char letter : letters) {
    std::string_view role = letter == 'm' ? "manager" : letter == 'n' ? "node" : letter == 'o' ? "operator" : "viewer";
    text += (text.empty() ? "" : " or ") + std::string(role);
  }
  return text;
}

}  // namespace

std::optional<std::string> refusal(const Identity& who, Verb verb, std::string_view key) {
  const Row* row =
      std::find_if(kTable.begin(), kTable.end(), [&](const Row& r) { return matches(r.pattern, key, who.name); });
  std::string_view able = row == kTable.end() ? "" : verb == Verb::kRead ? row->readers : row->writers;
  if (is_role(who.role) && able.find(who.role[0]) != able.npos) return std::nullopt;
  std::string_view what = verb == Verb::kRead    ? " may not read "
                          : verb == Verb::kWrite ? " may not write "
                                                 : " may not remove ";
  std::string text = who.name + " has the role " + who.role + " and" + std::string(what) + std::string(key);
  return text + (able.empty() ? "; that is nobody's but the one it belongs to"
                              : "; the role " + roles_text(able) + " is needed");
}

bool is_role(std::string_view role) {
  return role == "manager" || role == "node" || role == "operator" || role == "viewer";
}

bool takes_part(std::string_view role) { return role == "manager" || role == "node"; }

}  // namespace fairlead::cluster
