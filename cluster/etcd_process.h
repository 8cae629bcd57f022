// The etcd of a manager: a child process that ends with us, started again when it ends by itself.
//
// It serves clients on a Unix socket in a folder of 0700, and other managers' etcd by mutual TLS with certificates of
// an authority that only managers have. Threads: all calls from one thread, which must live as long as the process (the
// kernel ends the child with it).
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/membership.h"
#include "state/paths.h"

namespace fairlead::cluster {

class EtcdProcess {
 public:
  // starting: called before each start.
  EtcdProcess(const Paths& paths, const Membership& self, std::function<void()> starting = {});
  ~EtcdProcess();
  EtcdProcess(const EtcdProcess&) = delete;
  EtcdProcess& operator=(const EtcdProcess&) = delete;

  std::string socket_path() const { return folder_ + "/etcd.sock:0"; }
  // Starts it when it does not run. Not more than once a second.
  Result<void> tend();

 private:
  Result<void> start();
  std::vector<std::string> arguments() const;
  std::string folder_, data_;
  Membership self_;
  std::string pki_;
  std::function<void()> starting_;
  pid_t pid_ = -1;
  int64_t started_ms_ = 0;
};

}  // namespace fairlead::cluster
