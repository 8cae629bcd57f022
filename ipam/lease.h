// Leases as files, safe against kill -9 anywhere and against any number of processes at once.
//
//   run/lease-owners/NETWORK/CONTAINER@IFNAME   the owner: who it is, and which addresses it was about to try
//   run/leases/NETWORK/ADDRESS                  a hard link to the owner
//
// claim:   makes the owner complete (O_TMPFILE, link), then links addresses from its list until one works, then looks
//          whether the owner is still there. link(2) gives a name to one of many.
// release: takes flock(2) on the owner, unlinks every address of its list that is this very inode, then the owner,
//          then looks once more for what a claim linked meanwhile.
// Hence: an address is unlinked only by a holder of its owner's lock, who saw under that lock that it is that owner's;
// no address of somebody else can be freed. Whatever a killed claim linked, release finds. claim takes no lock; a
// stopped process holds up only releases of its own attachment (given up after a time).
// Cost: claim 8 system calls + 1 per address tried; release 8 + 2 per address (and 5 for a sticky name); nothing
// depends on how many leases there are. Nothing is synced: the folders are of this boot (tmpfs). Threads: stateless.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "ipam/pool.h"
#include "state/paths.h"

namespace fairlead::ipam {

struct Owner {
  std::string container, ifname;
  std::string netns;         // its path, and which namespace that was (state/netns_id.h): for collecting
  uint32_t netns_inode = 0;  // 0: there was none at the path
  // Asked for by the plugin `fairlead`, in its process: its link and its document say whether it lives. Else some other
  // main plugin's, of which only the namespace is known.
  bool by_fairlead = false;
  std::vector<std::vector<Span>> tried;  // per address wanted: what it may be
  std::vector<std::string> names;        // of the endpoint; only written down
  std::string sticky;                    // the name that keeps the addresses after the release (sticky.h); empty: none
};
std::string encode(const Owner& owner);
Result<Owner> decode_owner(std::string_view text, const std::string& source);

class LeaseStore {
 public:
  // network: a CNI network name; one that cannot be a folder's name (length, capitals) gets a hashed folder.
  LeaseStore(const Paths& paths, std::string_view network);
  // By the name of its folder under run/lease-owners, for who goes through all of them.
  static LeaseStore of_folder(const Paths& paths, const std::string& folder);

  using Filter = std::function<bool(const Address&)>;
  struct Claim {
    enum What { kGranted, kOwnerExists, kAllTaken, kReleasedMeanwhile } what = kGranted;
    std::vector<Address> granted;
    size_t taken = 0;  // kAllTaken: the index of the choices that were all taken
  };
  // One address of each of choices, in their order; those for which passes (when given) says no are passed over.
  // Nothing is kept unless all of them could be had.
  Result<Claim> claim(const Owner& owner, const std::vector<std::vector<Address>>& choices, const Filter& passes = {});

  // false: it had nothing. Error with sys EWOULDBLOCK when another process holds the owner's lock too long.
  Result<bool> release(std::string_view container, std::string_view ifname);
  // The owner and the addresses it has, in the order of its choices; nullopt when there is no owner.
  struct Holding {
    Owner owner;
    std::vector<Address> addresses;
  };
  Result<std::optional<Holding>> find(std::string_view container, std::string_view ifname) const;
  // Who has an address; nullopt when nobody has.
  Result<std::optional<Owner>> holder(const Address& address) const;

  // Every leased address (a listing of the folder; order of the file system).
  Result<std::vector<Address>> leased() const;
  struct Collection {
    // nullopt: it is kept. Else it is released while what was returned is held: the attachment's lock, or an empty Fd.
    // An owner whose file was damaged comes without netns.
    std::function<std::optional<Fd>(const Owner&)> judge;
    int64_t min_age_ms = 0;  // younger ones are kept and not read
    // Owners known to live by the name of their file (owner_name()); they are not read. May be empty.
    std::function<bool(const std::string&)> known;
  };
  // Releases owners, and leases whose owner's file is gone, as judged; and files of killed writers. What is released is
  // what was judged, never what took its name meanwhile. Goes on after errors; returns the first.
  // Cost: two lstat(2) per attachment, one read for each that is not known.
  Result<void> collect(const Collection& collection);
  static std::string owner_name(std::string_view container, std::string_view ifname);

  // The address given last from each of the first n range sets: a hint, missing or wrong at worst.
  std::vector<std::optional<Address>> cursors(size_t n) const;
  // Those without a value stay as they are.
  void set_cursors(const std::vector<std::optional<Address>>& addresses) const;

  const std::string& lease_folder() const { return leases_; }
  // Makes the folders when they are missing.
  Result<void> prepare() const;

 private:
  std::string lease_path(const Address& address) const { return leases_ + "/" + address.to_string(); }
  std::string owner_path(std::string_view container, std::string_view ifname) const;
  Result<Fd> create_owner(const std::string& path, const std::string& text, bool* exists);
  Result<size_t> link_first(const Fd& owner, const std::vector<Address>& choices, const Filter& passes) const;
  Result<bool> release_open(const Fd& owner, const std::string& path);
  Result<bool> release_locked(const Fd& owner, const std::string& path);
  Result<void> undo(const Fd& owner, const std::string& path);
  Result<void> collect_owner(const std::string& name, const Collection& collection);
  Result<void> collect_lease(const std::string& name, const Collection& collection);

  LeaseStore() = default;
  std::string leases_, owners_;
  Paths paths_;
  std::string network_;  // as its folder is called
};

}  // namespace fairlead::ipam
