// The planner: documents in, wanted kernel state and complaints out. Pure: no files, no kernel, no clock.
//
// Promise: a service, port, VIP or endpoint that must not be served is left out and named in problems; everything else
// is planned as if the bad part were not there. The same documents always give the same plan, whatever their order.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "lb/model.h"
#include "state/records.h"

namespace fairlead::lb {

// What an endpoint may be used for just now, beyond what its document says.
enum class Standing {
  kServing,   // new connections, too
  kDraining,  // established connections only
  kOut,       // not a backend
};

// Keys as in StateView: (network, name or attachment key). The maps must outlive the call.
struct Documents {
  using Key = std::pair<std::string, std::string>;
  const std::map<std::string, std::shared_ptr<const Network>>& networks;
  const std::map<Key, std::shared_ptr<const Service>>& services;
  const std::map<Key, std::shared_ptr<const Endpoint>>& endpoints;
  const std::map<std::string, std::shared_ptr<const Router>>& routers;
  // Of other nodes, keys (network, "node/attachment key"): backends like any other, but who checks their health and
  // publishes their ports is their own node.
  const std::map<Key, std::shared_ptr<const Endpoint>>* remote_endpoints = nullptr;
};

// standing is asked for every (service, endpoint, protocol): health differs by service, and an unhealthy backend
// keeps its TCP connections while it drains but not its UDP flows.
using StandingOf = std::function<Standing(const Service&, const Endpoint&, uint8_t protocol)>;

// Who has a published port keeps it when another document asks for the same one. By the text of the HostPortKey.
using Incumbents = std::map<std::string, std::string>;

// claimed, when given, is filled with the owners of this plan's published ports (the next call's incumbents).
Plan make_plan(const Documents& documents, const StandingOf& standing, const Incumbents& incumbents = {},
               Incumbents* claimed = nullptr);

// The port of a service's health checks: as configured, else the target of its first TCP port; 0 when it has none.
uint16_t health_port(const Service& service);

// The services' own rules, without looking at other documents: "" when the scheduler may be used with this service,
// otherwise what is wrong.
std::string scheduler_problem(const Service& service);

}  // namespace fairlead::lb
