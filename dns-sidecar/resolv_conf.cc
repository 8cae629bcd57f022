#include "dns-sidecar/resolv_conf.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "base/names.h"

namespace fairlead::dns {
namespace {

constexpr size_t kMaxBytes = 64 * 1024;
constexpr int kMaxLinks = 16;

std::string_view next_word(std::string_view& line) {
  size_t begin = std::min(line.find_first_not_of(" \t\r"), line.size());
  size_t end = std::min(line.find_first_of(" \t\r", begin), line.size());
  auto word = line.substr(begin, end - begin);
  line.remove_prefix(end);
  return word;
}

std::string folder_of(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

std::string identity_of(const std::string& path) {
  struct stat s {};
  if (stat(path.c_str(), &s) != 0) return "none";
  return std::to_string(s.st_dev) + ":" + std::to_string(s.st_ino) + ":" + std::to_string(s.st_size) + ":" +
         std::to_string(s.st_mtim.tv_sec) + "." + std::to_string(s.st_mtim.tv_nsec) + ":" +
         std::to_string(s.st_ctim.tv_sec) + "." + std::to_string(s.st_ctim.tv_nsec);
}

}  // namespace

Result<ServerAddress> parse_server(std::string_view text) {
  size_t percent = std::min(text.find('%'), text.size());
  ServerAddress server;
  FL_TRY(server.address, Address::parse(text.substr(0, percent)));
  if (percent < text.size()) {
    server.scope = text.substr(percent + 1);
    if (!server.address.is_v6() || !is_interface_name(server.scope))
      return fail("\"" + std::string(text) + "\": expected an interface behind '%' of an IPv6 address");
  }
  return server;
}

std::vector<ServerAddress> parse_resolv_conf(std::string_view text) {
  std::vector<ServerAddress> servers;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    // glibc takes keywords at the start of a line only; a leading ';' or '#' is a comment.
    if (line.substr(0, 10) != "nameserver" || line.size() == 10 || (line[10] != ' ' && line[10] != '\t')) continue;
    line.remove_prefix(10);
    auto server = parse_server(next_word(line));
    if (server && std::find(servers.begin(), servers.end(), *server) == servers.end()) servers.push_back(*server);
  }
  return servers;
}

Result<ResolvConf> ResolvConf::open(std::string path) {
  Fd fd(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!fd) return fail_errno("create", "inotify");
  ResolvConf conf(std::move(path), std::move(fd));
  conf.refresh();
  return conf;
}

// The folder of the file and of every link on the way to it: a swapped link is an event in its folder.
void ResolvConf::watch_folders() {
  std::set<int> now;
  std::string path = path_;
  for (int i = 0; i < kMaxLinks; i++) {
    std::string folder = folder_of(path);
    int wd = inotify_add_watch(inotify_.get(), folder.c_str(),
                               IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE);
    if (wd >= 0) now.insert(wd);
    char target[PATH_MAX];
    ssize_t n = readlink(path.c_str(), target, sizeof target);
    if (n <= 0 || n == static_cast<ssize_t>(sizeof target)) break;
    std::string next(target, static_cast<size_t>(n));
    path = next[0] == '/' ? next : folder + "/" + next;
  }
  for (int wd : watches_)
    if (!now.count(wd)) inotify_rm_watch(inotify_.get(), wd);
  watches_ = std::move(now);
}

bool ResolvConf::refresh() {
  alignas(inotify_event) char events[4096];
  while (read(inotify_.get(), events, sizeof events) > 0) {
  }
  watch_folders();
  std::string identity = identity_of(path_);
  if (identity == identity_) return false;
  identity_ = identity;
  auto text = read_file(path_, kMaxBytes);
  auto servers = text && *text ? parse_resolv_conf(**text) : std::vector<ServerAddress>();
  if (servers == servers_) return false;
  servers_ = std::move(servers);
  return true;
}

}  // namespace fairlead::dns
