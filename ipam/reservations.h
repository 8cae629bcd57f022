// Reservations as ADD sees them: which addresses a name has for itself, and for whom an address is reserved.
//
//   state/reservations/NETWORK/NAME.json   the documents; their writer is fairleadctl, or whoever edits them
//   run/reserved/NETWORK/ADDRESS           an index: a symbolic link whose text is the NAME
//   run/reserved/NETWORK/.stamp            a link whose text is the state of the documents' folder the index is of
//
// The index is made again by whoever finds that the folder changed since. A folder's time is not finer than a tick of
// the kernel, so one that changed in the last kSettled is never called known.
// Cost: 1 system call where there are no reservations; else 2, one more per name asked and per address asked, whatever
// their number; once after a change the listing of them all.
// Threads: stateless but for the object itself.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/ip.h"
#include "base/result.h"
#include "state/address_records.h"
#include "state/paths.h"

namespace fairlead::ipam {

class Reservations {
 public:
  // Makes the index current. A network whose name cannot be a folder's has no reservations.
  static Result<Reservations> open(const Paths& paths, std::string_view network);

  bool any() const { return !state_.empty(); }
  // The name an address is reserved for; empty: nobody's.
  std::string owner(const Address& address) const;
  // The reservation of the first of these names that has one. An Error when its document is bad.
  Result<std::optional<Reservation>> of(const std::vector<std::string>& names) const;
  // Every reserved address with its name. A listing.
  std::vector<std::pair<Address, std::string>> list() const;
  // Whether a document came, went or was replaced since open().
  bool changed() const;

  // ---- for those who change them ----
  // The lock of the index: two writers never meet, and no ADD reads an index that is being changed.
  static Result<Fd> lock(const Paths& paths, std::string_view network);
  // Under the lock: makes the index current.
  static Result<void> refresh(const Paths& paths, std::string_view network);
  // Under the lock: reads every document again, whatever the stamp says; problems (may be nullptr) gets one line for
  // each that is bad.
  static Result<void> rebuild(const Paths& paths, std::string_view network, std::vector<std::string>* problems);
  // Under the lock, after an index that was current: the one document of that name has just been written, with these
  // addresses (or written and removed again: none).
  static Result<void> add(const Paths& paths, std::string_view network, const std::string& name,
                          const std::vector<Address>& addresses);

 private:
  Paths paths_;
  std::string network_, index_;
  std::string state_;  // of the documents' folder when it was read; empty: there is none
};

}  // namespace fairlead::ipam
