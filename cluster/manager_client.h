// A member's way to the managers: connections made with the node's certificate, to the first manager that answers.
//
// Threads: may be used by all threads at once; a Channel by one.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/channel.h"
#include "cluster/membership.h"

namespace fairlead::cluster {

class ManagerClient {
 public:
  ManagerClient(Paths paths, const Membership& self, const StopSignal& stop);

  struct Connection {
    Channel channel;
    HostPort manager;
  };
  // Tries each manager once, the last good one first. The Error of the last one when none answers.
  Result<Connection> connect();
  // To this manager only, from this address of the node.
  Result<Connection> connect_to_one(const HostPort& manager, const Address& from);
  // connect(), ask, close: for what is rare.
  Result<Json> ask(const Json& request, int timeout_ms);
  // The same of this one.
  Result<Json> ask_at(const HostPort& manager, const Json& request, int timeout_ms);

  // Called when the documents of the nodes say who the managers are; kept for the next start, too.
  void set_managers(std::vector<HostPort> managers);
  std::vector<HostPort> managers() const;

 private:
  Result<Channel> connect_at(const HostPort& manager, const Credentials& credentials);

  Paths paths_;
  const StopSignal& stop_;
  mutable std::mutex mutex_;
  Membership self_;
};

}  // namespace fairlead::cluster
