// The host's resolvers: /etc/resolv.conf (resolv.conf(5)), followed through symbolic links that may be swapped.
// Threads: one.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "dns-sidecar/forward.h"

namespace fairlead::dns {

// The nameserver lines that hold an address, in order, each once. Everything else is left to the resolver library.
std::vector<ServerAddress> parse_resolv_conf(std::string_view text);
Result<ServerAddress> parse_server(std::string_view text);

class ResolvConf {
 public:
  static Result<ResolvConf> open(std::string path);
  int fd() const { return inotify_.get(); }
  // Reads again when the file is another one than last time; true when servers() changed. A missing or unreadable file
  // is an empty one. Cheap enough to be called every second, for what inotify does not see (mounts, links of folders).
  bool refresh();
  const std::vector<ServerAddress>& servers() const { return servers_; }

 private:
  ResolvConf(std::string path, Fd inotify) : path_(std::move(path)), inotify_(std::move(inotify)) {}
  void watch_folders();

  std::string path_;
  Fd inotify_;
  std::set<int> watches_;
  std::string identity_;
  std::vector<ServerAddress> servers_;
};

}  // namespace fairlead::dns
