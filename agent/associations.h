// IPsec security associations with the other nodes: cluster/associations.h says which, this puts them into the kernel,
// pins the policies for sending to them, and writes down what the other nodes have to know (run/associations).
//
// All of it is done for nodes whose document has a seal key; associations with others are left alone. Policies that
// block and those for receiving: agent/ipsec_guard.h. While a node has no association there is no policy for sending
// to it either, so the blocking one holds.
// Threading: a thread of its own, so that no slow router delays a key. It is woken by documents, by the kernel (what
// was removed or is used up), and looks at everything once a second. Failure: logged once, tried again.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "agent/association_documents.h"
#include "cluster/associations.h"
#include "cluster/net.h"
#include "kernel/netlink.h"
#include "kernel/xfrm.h"
#include "state/watcher.h"

namespace fairlead::agent {

// In which form packets go to a peer.
struct AssociationWay {
  uint16_t udp = 0;             // in UDP to this port; 0: plain ESP
  std::optional<bool> arrives;  // none: not known yet
  std::string reason;           // of UDP
};

class AssociationKeeper {
 public:
  // walled: whether agent/ipsec_guard.h has done its part; nothing is added before. Outlives this.
  AssociationKeeper(Paths paths, const std::atomic<bool>& walled);
  ~AssociationKeeper();
  AssociationKeeper(const AssociationKeeper&) = delete;
  AssociationKeeper& operator=(const AssociationKeeper&) = delete;

  // Prometheus text; empty as long as no network needs associations.
  std::string metrics() const;
  // Nodes that cannot be sent to now, with the reason.
  std::map<std::string, std::string> problems() const;
  // To every other node, by its name.
  std::map<std::string, AssociationWay> ways() const;

 private:
  void run();
  Result<void> watch();
  void wait();
  Result<void> step();
  Result<void> open_epochs();
  void note_clock();
  Result<void> gather(cluster::AssociationFacts& facts, std::vector<std::pair<Address, uint32_t>>& strange);
  Result<void> add(const std::vector<cluster::AssociationWork>& work);
  Result<Secret> key_of(const cluster::AssociationWork& work) const;
  Result<void> set_policies();
  Result<void> remove(const std::vector<cluster::AssociationWork>& work,
                      const std::vector<std::pair<Address, uint32_t>>& strange);
  void probe(const std::vector<std::string>& peers);
  void hold_port();
  void describe(const cluster::AssociationFacts& facts);
  void tell_changes();
  AssociationWay way_to(const std::string& name);
  std::string problem_of(const std::string& name, const cluster::AssociationFacts& facts) const;

  Paths paths_;
  const std::atomic<bool>& walled_;
  std::optional<StateWatcher> watcher_;
  std::optional<kernel::NetlinkSocket> socket_, events_;
  AssociationDocuments documents_;
  std::optional<cluster::LockedBytes> seal_key_;
  std::string public_key_;
  std::map<std::string, cluster::LockedBytes> secrets_;  // by epoch
  cluster::Associations engine_;
  std::map<std::string, cluster::AssociationDocument> written_;
  std::map<std::string, Address> managed_;  // peers as of the last step
  bool adopted_ = false, documents_changed_ = true, clock_jumped_ = false;
  int64_t clock_difference_ = 0, read_at_ms_ = 0;
  std::string told_;            // as logged
  std::set<std::string> said_;  // bad documents, as logged
  mutable std::mutex mutex_;
  std::map<std::string, std::string> problems_;
  std::string metrics_;
  std::map<std::string, AssociationWay> ways_;
  std::map<std::string, uint16_t> known_forms_;  // that have proved themselves, as logged
  std::map<uint32_t, uint16_t> forms_;           // of what is in the kernel for sending: SPI → port
  uint16_t udp_ = 0;                             // this node's port for ESP in UDP; 0: not open
  std::string udp_trouble_;                      // as logged
  uint64_t installed_ = 0, changes_ = 0;
  bool refused_ = false;  // by the kernel, at the last attempt
  cluster::StopSignal stop_;
  std::thread thread_;
};

}  // namespace fairlead::agent
