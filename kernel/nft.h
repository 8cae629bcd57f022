// nftables through libnftables' JSON: one call, one transaction, all or nothing. Only daemons and `realise` link this
// (fairlead_nft); the CNI plugin never does.
// Threads: one NftSession belongs to one thread. It stays in the network namespace it was opened in.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "kernel/netlink.h"

namespace fairlead::kernel {

// The generation number of a namespace's whole ruleset (NFT_MSG_GETGEN); it changes with every transaction of anybody.
// socket: NETLINK_NETFILTER, opened in that namespace.
Result<uint32_t> nft_generation(NetlinkSocket& socket);

class NftSession {
 public:
  // Opened in the calling thread's network namespace.
  static Result<NftSession> open();
  NftSession(NftSession&&) noexcept;
  NftSession& operator=(NftSession&&) noexcept;
  ~NftSession();

  // Runs commands in nft's own language (a file as `nft -f` takes it), as one transaction. On failure nothing changed.
  // The text is made by our planners from validated values only.
  Result<void> run(const std::string& commands);
  // `list table inet NAME` as text without handles and counters' values (stateless); empty when there is no such table.
  // For comparing with an earlier answer, never for parsing.
  Result<std::string> list_table(const std::string& family, const std::string& name);
  Result<uint32_t> generation();  // nft_generation() of the session's namespace

 private:
  struct Context;
  explicit NftSession(std::unique_ptr<Context> context);
  std::unique_ptr<Context> context_;
};

}  // namespace fairlead::kernel
