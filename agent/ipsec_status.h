// What there is to say about encryption between this node and the others, for GET /status and GET /metrics: per peer
// which associations exist in the kernel (SPI, epoch, packets; never a key), and what the kernel dropped.
// Threads: one; runs in the host's namespace. Looks at most every two seconds, and not at all without encrypted
// networks.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/associations.h"
#include "base/json.h"
#include "base/result.h"
#include "kernel/xfrm.h"
#include "state/paths.h"
#include "state/view.h"

namespace fairlead::agent {

using Clock = std::chrono::steady_clock;

struct IpsecPeer {
  struct Association {
    uint32_t spi = 0;
    std::string epoch;  // "": not known
    uint64_t packets = 0;
    uint64_t refused = 0;         // replayed, too late, or not authentic
    uint16_t udp = 0;             // in UDP to this port; 0: plain ESP
    std::optional<bool> arrives;  // of what is sent, as the peer says; none: not known
    std::string reason;           // of UDP
  };
  std::string node;
  Address address;
  std::optional<Association> sending;  // what the policies are pinned to and the kernel has; none: nothing leaves
  std::vector<Association> receiving;
};
// epochs: SPI → epoch's id.
std::vector<IpsecPeer> ipsec_peers(const std::vector<Node>& nodes, const std::string& self,
                                   const std::vector<kernel::State>& states,
                                   const std::vector<kernel::Policy>& policies,
                                   const std::map<uint32_t, std::string>& epochs);

// /proc/net/xfrm_stat as samples of fairlead_ipsec_errors_total.
std::string ipsec_metrics(const std::string& xfrm_stat);

class IpsecStatus {
 public:
  // ways: what is known of those that are sent to.
  void look(const Paths& paths, const StateView& view, const std::string& self,
            const std::map<std::string, AssociationWay>& ways, Clock::time_point now);
  Json json() const;  // a list of peers; null: no network is encrypted
  const std::string& metrics() const { return metrics_; }
  const std::vector<IpsecPeer>& peers() const { return peers_; }

 private:
  Result<void> read(const Paths& paths, const StateView& view, const std::string& self);
  std::optional<kernel::NetlinkSocket> socket_;
  std::vector<IpsecPeer> peers_;
  std::string metrics_;
  bool used_ = false;
  Clock::time_point looked_at_{};
};

}  // namespace fairlead::agent
