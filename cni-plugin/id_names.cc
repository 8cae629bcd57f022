#include "cni-plugin/id_names.h"

#include <algorithm>

#include "base/file.h"
#include "base/names.h"

namespace fairlead::plugin {
namespace {

// "/proc/PID/ns/net" → PID; empty for every other path.
std::string process_of(std::string_view netns) {
  constexpr std::string_view kFront = "/proc/", kBack = "/ns/net";
  if (!netns.starts_with(kFront) || !netns.ends_with(kBack) || netns.size() <= kFront.size() + kBack.size()) return {};
  std::string_view pid = netns.substr(kFront.size(), netns.size() - kFront.size() - kBack.size());
  bool digits = std::all_of(pid.begin(), pid.end(), [](char c) { return c >= '0' && c <= '9'; });
  return digits ? std::string(pid) : std::string();
}

// "PID (NAME) STATE PARENT …" (proc(5)); NAME may hold anything, the last ")" ends it.
std::string parent_of(const std::string& pid) {
  auto stat = read_file("/proc/" + pid + "/stat", 4096);
  if (!stat || !*stat) return {};
  size_t begin = (*stat)->rfind(") ");
  if (begin == std::string::npos) return {};
  begin += 4;  // over the state, too
  if (begin >= (*stat)->size()) return {};
  return (*stat)->substr(begin, (*stat)->find(' ', begin) - begin);
}

// The shim adopts every process it makes, so a container's first process is its child.
std::string plain_id(const std::string& container, const std::string& netns) {
  std::string pid = process_of(netns);
  std::string parent = pid.empty() ? pid : parent_of(pid);
  if (parent.empty()) return {};
  auto cmdline = read_file("/proc/" + parent + "/cmdline", 65536);
  return cmdline && *cmdline ? id_from_shim(**cmdline, container) : std::string();
}

}  // namespace

std::string id_from_shim(std::string_view cmdline, std::string_view container) {
  std::vector<std::string_view> words;
  while (!cmdline.empty()) {
    size_t end = std::min(cmdline.find('\0'), cmdline.size());
    words.push_back(cmdline.substr(0, end));
    cmdline.remove_prefix(std::min(end + 1, cmdline.size()));
  }
  if (words.empty() || !words[0].substr(words[0].rfind('/') + 1).starts_with("containerd-shim")) return {};
  std::string_view space, id;
  for (size_t i = 1; i + 1 < words.size(); i++) {
    if (words[i] == "-namespace") space = words[i + 1];
    if (words[i] == "-id") id = words[i + 1];
  }
  if (space.empty() || id.empty() || container != std::string(space) + "-" + std::string(id)) return {};
  return std::string(id);
}

std::vector<std::string> names_from_id(const std::string& container, const std::string& netns) {
  std::vector<std::string> names;
  if (is_machine_made_id(container)) return names;
  for (const std::string& name : {plain_id(container, netns), container})
    if (!name.empty() && !is_machine_made_id(name) && is_dns_name(name)) names.push_back(name);
  return names;
}

}  // namespace fairlead::plugin
