// Sticky addresses: what a name had last on this node is kept for it for a time after its endpoint is gone, and given
// again to the next one of that name.
//
//   state/sticky/NETWORK/names/NAME.json        which addresses, for how long, since when released
//   state/sticky/NETWORK/addresses/ADDRESS      a symbolic link whose text is NAME: who an address is kept for, in one
//                                               system call
//
// In the state directory, because it is to outlive a reboot; not synced, because an ADD waits for no disk: after a
// power cut a name may get another address, never an address twice (only a lease makes an address somebody's). No lock:
// two endpoints of one name at once leave the documents of one of them; links that lead nowhere are collected. Threads:
// stateless.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "state/address_records.h"
#include "state/paths.h"

namespace fairlead::ipam {

inline constexpr uint32_t kStickyMs = 24 * 3600 * 1000;

class StickyStore {
 public:
  // A network whose name cannot be a folder's has no sticky addresses.
  StickyStore(const Paths& paths, std::string_view network);

  // One system call; false: every other question would be answered with no.
  bool any() const;
  // The name an address is kept for, its time over or not; empty: none. One system call.
  std::string owner(const Address& address) const;
  // nullopt when there is none or it cannot be read.
  std::optional<StickyAddresses> find(const std::string& name) const;

  // After an endpoint of that name got them.
  Result<void> keep(const std::string& name, const std::vector<Address>& addresses, uint32_t keep_ms) const;
  // After it released them: from now on the time runs. What is not what the name keeps is passed over.
  void release(const std::string& name, const std::vector<Address>& addresses) const;
  // Every address that is kept, with its name. A listing.
  std::vector<std::pair<Address, std::string>> list() const;
  // Removes what is over, and links without a document. An address that is neither leased nor marked as released
  // (a reboot, kill -9 in a release) is marked as released now. leased: whether somebody has it.
  Result<void> collect(const std::function<bool(const Address&)>& leased) const;

 private:
  std::string document(const std::string& name) const { return folder_ + "/names/" + name + ".json"; }
  std::string link(const Address& address) const { return folder_ + "/addresses/" + address.to_string(); }
  Result<void> point(const Address& address, const std::string& name) const;
  void forget(const StickyAddresses& sticky) const;

  std::string folder_;  // empty: none
  std::string network_;
};

}  // namespace fairlead::ipam
