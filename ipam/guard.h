// What an endpoint may and should have besides what is free: reserved addresses of its name, sticky ones, and those
// that are other names'. Threads: stateless but for the object itself.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/cni_result.h"
#include "ipam/reservations.h"
#include "ipam/sticky.h"

namespace fairlead::ipam {

class Guard {
 public:
  // names: of the endpoint, the first that has a reservation counts. sticky: the name whose addresses are kept; empty:
  // none.
  static cni::CniResult<Guard> open(const Paths& paths, const std::string& network,
                                    const std::vector<std::string>& names, const std::string& sticky);

  // Whether anybody has a claim on any address.
  bool active() const { return reservations_.any() || any_sticky_; }
  // "is reserved for db"; empty when this endpoint may have the address. spare_sticky: those kept for others count.
  std::string refusal(const Address& address, bool spare_sticky = true) const;
  // Every address refusal() speaks of. A listing.
  std::vector<Address> refused(bool spare_sticky) const;

  // The name whose reservation applies, and its addresses; empty: none.
  const std::string& reserved_name() const { return reserved_name_; }
  const std::vector<Address>& reserved() const { return reserved_; }
  // What the sticky name had last.
  const std::vector<Address>& preferred() const { return preferred_; }
  const std::string& sticky() const { return sticky_; }
  bool any_sticky() const { return any_sticky_; }
  // Whether reservations changed since open().
  bool outdated() const { return reservations_.changed(); }

 private:
  Guard(Reservations reservations, StickyStore store)
      : reservations_(std::move(reservations)), store_(std::move(store)) {}

  Reservations reservations_;
  StickyStore store_;
  bool any_sticky_ = false;
  std::string reserved_name_, sticky_;
  std::vector<Address> reserved_, preferred_;
};

}  // namespace fairlead::ipam
