// Where the sidecar listens: the gateway addresses of every network whose router exists on this node.
//
// Promise: a socket is closed only when its router is gone or another one stands in its place (other namespace inode),
// never because documents changed. What cannot be opened yet is tried again by tick(), and said once.
// Threads: one; status() may be called from any.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "dns-sidecar/worker.h"
#include "state/records.h"

namespace fairlead::dns {

class Routers {
 public:
  explicit Routers(std::vector<std::unique_ptr<Worker>>& workers, uint16_t port) : workers_(workers), port_(port) {}

  // router == nullptr: it is gone. network == nullptr: its document is missing; what is open stays open.
  void set(const std::string& name, uint32_t slot, const Router* router, const Network* network);
  // Looks after routers that were replaced and addresses not open yet.
  void tick();

  struct Listening {
    std::string network, netns;
    std::vector<std::string> addresses;
    std::string problem;
  };
  std::vector<Listening> status() const;

 private:
  struct Open {
    Address address;
    uint64_t number;
  };
  struct Entry {
    uint32_t slot = 0;
    std::string netns;
    std::vector<Address> wanted;
    std::vector<Open> open;
    dev_t device = 0;
    ino_t inode = 0;
    std::string problem;
  };

  void reconcile(const std::string& name, Entry& entry);
  Result<void> open_missing(int netns, Entry& entry);
  void close_all(Entry& entry);

  std::vector<std::unique_ptr<Worker>>& workers_;
  uint16_t port_;
  uint64_t next_number_ = 1;
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
};

}  // namespace fairlead::dns
