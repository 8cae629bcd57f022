// What must be done to IPVS so that it is as a plan says, from what is there. Pure.
// Updates are made in place: a service or destination that stays is never deleted, so connections and counters survive.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "kernel/ipvs.h"
#include "lb/model.h"

namespace fairlead::lb {

struct IpvsEntry {
  kernel::IpvsService service;
  std::vector<kernel::IpvsDestination> destinations;
};
using IpvsTable = std::map<FrontendKey, IpvsEntry>;

IpvsTable ipvs_table(const RouterPlan& plan);

struct IpvsChange {
  enum Kind { kAddService, kSetService, kRemoveService, kAddDestination, kSetDestination, kRemoveDestination } kind;
  FrontendKey frontend;
  kernel::IpvsService service;
  kernel::IpvsDestination destination;
  const char* word() const;  // "IPVS service" or "IPVS destination"
};

// own: where frontends of ours may be; services elsewhere are somebody else's and stay. New destinations come before
// old ones go, so that a frontend whose backends are all replaced is never without one.
std::vector<IpvsChange> ipvs_changes(const IpvsTable& present, const IpvsTable& wanted, const std::vector<Prefix>& own);

}  // namespace fairlead::lb
