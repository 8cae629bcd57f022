// run/cluster.sock: what fairleadctl asks of fairlead-agent while the node is in a cluster. Messages as in channel.h,
// without TLS; only root may connect (0600).
//
//   check {all}                  whether the directory, or everybody's, is as the store says (cluster/check.h)
//   preflight                    whether what nodes send one another gets through (cluster/preflight.h)
//   status                       how this node and its cluster are
//   begin                        {"revision","role","name"}: the directory is at least as new as that
//   submit {key,value,revision}  a network or service, decided on that revision; answers when it is in the directory
//   token {role,seconds,uses}, evict {name}, rotate {what}, leave {force}, accept
//
// Threading: one thread, one connection at a time.
#pragma once

#include <string>
#include <thread>

#include "cluster/member.h"

namespace fairlead::cluster {

class Control {
 public:
  // member must outlive it.
  static Result<std::unique_ptr<Control>> start(const Paths& paths, const Membership& self, Member& member);
  ~Control();

 private:
  Control(Paths paths, Membership self, Member& member, Fd listener);
  void serve();
  Result<Json> answer(const Json& request);
  Result<Json> status();
  Result<Json> submit(const Json& request);
  Result<Json> leave(bool force);
  Result<Json> check(bool all);
  Paths paths_;
  Membership self_;
  Member& member_;
  Fd listener_;
  StopSignal stop_;
  std::thread thread_;
};

// For fairleadctl. An Error with sys ENOENT or ECONNREFUSED when the agent does not run or is in no cluster.
Result<Json> ask_agent(const Paths& paths, const Json& request, int timeout_ms = 20000);

}  // namespace fairlead::cluster
