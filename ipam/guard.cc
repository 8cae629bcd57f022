#include "ipam/guard.h"

namespace fairlead::ipam {

cni::CniResult<Guard> Guard::open(const Paths& paths, const std::string& network, const std::vector<std::string>& names,
                                  const std::string& sticky) {
  FL_TRY(auto reservations, Reservations::open(paths, network));
  Guard guard(std::move(reservations), StickyStore(paths, network));
  guard.any_sticky_ = guard.store_.any();
  FL_TRY(auto own, guard.reservations_.of(names));
  if (own) {
    guard.reserved_name_ = own->name;
    guard.reserved_ = own->addresses;
  }
  guard.sticky_ = sticky;
  if (guard.any_sticky_ && !sticky.empty())
    if (auto kept = guard.store_.find(sticky)) guard.preferred_ = kept->addresses;
  return guard;
}

std::string Guard::refusal(const Address& address, bool spare_sticky) const {
  if (std::string name = reservations_.owner(address); !name.empty() && name != reserved_name_)
    return "is reserved for " + name;
  if (!spare_sticky || !any_sticky_) return "";
  std::string name = store_.owner(address);
  return name.empty() || name == sticky_ ? "" : "is kept for " + name + ", which had it last (sticky)";
}

std::vector<Address> Guard::refused(bool spare_sticky) const {
  std::vector<Address> found;
  for (auto& [address, name] : reservations_.list())
    if (name != reserved_name_) found.push_back(address);
  if (!spare_sticky) return found;
  for (auto& [address, name] : store_.list())
    if (name != sticky_) found.push_back(address);
  return found;
}

}  // namespace fairlead::ipam
