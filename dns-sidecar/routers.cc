#include "dns-sidecar/routers.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/log.h"
#include "kernel/netns.h"

namespace fairlead::dns {

void Routers::set(const std::string& name, uint32_t slot, const Router* router, const Network* network) {
  std::lock_guard lock(mutex_);
  if (!router) {
    auto it = entries_.find(name);
    if (it == entries_.end()) return;
    close_all(it->second);
    log_info("network " + name + ": its router is gone; no longer listening there");
    entries_.erase(it);
    return;
  }
  Entry& entry = entries_[name];
  entry.slot = slot;
  entry.netns = router->netns;
  if (network) {
    entry.wanted.clear();
    for (int family : {AF_INET, AF_INET6})
      if (auto gateway = network->gateway(family)) entry.wanted.push_back(*gateway);
  }
  reconcile(name, entry);
}

void Routers::tick() {
  std::lock_guard lock(mutex_);
  for (auto& [name, entry] : entries_) reconcile(name, entry);
}

void Routers::reconcile(const std::string& name, Entry& entry) {
  Result<void> done;
  auto netns = kernel::open_netns(kernel::netns_path(entry.netns));
  struct stat s {};
  bool there = netns && fstat(netns->get(), &s) == 0;
  if (!entry.open.empty() && (!there || s.st_dev != entry.device || s.st_ino != entry.inode)) {
    log_info("network " + name + ": router " + entry.netns + (there ? " was replaced" : " has vanished"));
    close_all(entry);
  }
  if (there) {
    entry.device = s.st_dev;
    entry.inode = s.st_ino;
    done = open_missing(netns->get(), entry);
  } else if (!netns) {
    done = fail(netns.error());
  }
  std::string problem = done ? "" : done.error().message;
  if (!problem.empty() && problem != entry.problem)
    log_warning("network " + name + ": cannot listen yet: " + problem + "; trying again every second");
  entry.problem = std::move(problem);
}

Result<void> Routers::open_missing(int netns, Entry& entry) {
  std::vector<Address> missing;
  for (const auto& address : entry.wanted)
    if (std::none_of(entry.open.begin(), entry.open.end(), [&](const Open& o) { return o.address == address; }))
      missing.push_back(address);
  if (missing.empty()) return {};
  return kernel::in_netns(netns, [&]() -> Result<void> {
    for (const auto& address : missing) {
      std::vector<ListenerSockets> sockets(workers_.size());
      for (auto& s : sockets) {
        FL_TRY(s, open_listener(address, port_));
      }
      const uint64_t number = next_number_++;
      for (size_t i = 0; i < workers_.size(); i++) workers_[i]->add(number, entry.slot, std::move(sockets[i]));
      entry.open.push_back({address, number});
    }
    return {};
  });
}

void Routers::close_all(Entry& entry) {
  for (const auto& open : entry.open)
    for (auto& worker : workers_) worker->remove(open.number);
  entry.open.clear();
}

std::vector<Routers::Listening> Routers::status() const {
  std::lock_guard lock(mutex_);
  std::vector<Listening> all;
  for (const auto& [name, entry] : entries_) {
    Listening listening{name, entry.netns, {}, entry.problem};
    for (const auto& open : entry.open) listening.addresses.push_back(open.address.to_string());
    all.push_back(std::move(listening));
  }
  return all;
}

}  // namespace fairlead::dns
