// fairleadctl cluster …: founding, joining and leaving a cluster, and looking at it. Secrets are read from a file or
// from stdin, never from the command line, where every user of the machine could see them.
#pragma once

#include <cstdint>
#include <string>

#include "ctl/context.h"

namespace fairlead::ctl {

struct ClusterArguments {
  std::string name, advertise;                                                                    // init, join
  std::string certificate_life = "90d", lease = "5s", key_interval = "12h", block_grace = "10m";  // init
  std::string role, expires = "24h";                                                              // token
  uint32_t uses = 100;
  std::string manager, token_file = "-";  // join
  std::string member;                     // evict
  bool force = false;                     // leave
  std::string what;                       // rotate
  bool finish = false;                    // rotate
  bool local = false;                     // check
};

Output cluster_init(Context& context, const ClusterArguments& a);
Output cluster_token(Context& context, const ClusterArguments& a);
Output cluster_join(Context& context, const ClusterArguments& a);
Output cluster_leave(Context& context, const ClusterArguments& a);
Output cluster_evict(Context& context, const ClusterArguments& a);
Output cluster_accept(Context& context);
// Whether what this node has is what the managers' store says; on a manager, what every live member finds when it
// compares. Exit status 1 when something differs.
Output cluster_check(Context& context, const ClusterArguments& a);
// Whether what nodes send one another gets through between this node and each manager; join does the same at its end.
// Exit status 1 when something does not.
Output cluster_preflight(Context& context);
Output cluster_rotate(Context& context, const ClusterArguments& a);
Output cluster_status(Context& context);

}  // namespace fairlead::ctl
