#include "lb/flows.h"

#include <algorithm>

namespace fairlead::lb {
namespace {

bool has_backend(const Frontend& frontend, const Address& address, uint16_t port) {
  return std::any_of(frontend.backends.begin(), frontend.backends.end(),
                     [&](const Backend& b) { return b.address == address && b.port == port; });
}

}  // namespace

std::optional<BackendId> backend_of(const RouterPlan& plan, const kernel::Flow& flow) {
  auto frontend =
      plan.frontends.find({flow.original.destination, flow.original.protocol, flow.original.destination_port});
  if (frontend == plan.frontends.end()) return std::nullopt;
  if (!has_backend(frontend->second, flow.reply.source, flow.reply.source_port)) return std::nullopt;
  return BackendId{frontend->first, flow.reply.source, flow.reply.source_port};
}

bool is_stale(const RouterPlan& plan, const kernel::Flow& flow) {
  uint8_t protocol = flow.original.protocol;
  if (protocol != kTcp && protocol != kUdp && protocol != kSctp) return false;
  const Address& address = flow.original.destination;
  bool own = std::any_of(plan.own.begin(), plan.own.end(), [&](const Prefix& p) { return p.contains(address); });
  return own && !backend_of(plan, flow);
}

bool precedes_frontend(const RouterPlan& plan, const kernel::Flow& flow) {
  const auto& to = flow.original;
  return to.protocol == kUdp && flow.reply.source == to.destination &&
         plan.frontends.count({to.destination, to.protocol, to.destination_port}) > 0;
}

bool flows_may_be_stale(const RouterPlan& from, const RouterPlan& to) {
  for (const auto& [key, frontend] : from.frontends) {
    auto other = to.frontends.find(key);
    if (other == to.frontends.end()) return true;
    for (const auto& b : frontend.backends)
      if (!has_backend(other->second, b.address, b.port)) return true;
  }
  // A TCP connection that is older than its frontend was refused; only UDP goes on.
  return std::any_of(to.frontends.begin(), to.frontends.end(), [&](const auto& entry) {
    return entry.first.protocol == kUdp && !from.frontends.count(entry.first);
  });
}

bool host_flows_may_be_stale(const HostPlan& before, const HostPlan& now) {
  for (const auto& [key, port] : before.ports) {
    auto other = now.ports.find(key);
    if (other == now.ports.end() || other->second != port) return true;
  }
  return std::any_of(now.ports.begin(), now.ports.end(), [&](const auto& entry) {
    return entry.first.protocol == kUdp && !before.ports.count(entry.first);
  });
}

namespace {

const HostPort* published(const HostPlan& plan, const kernel::FlowTuple& to) {
  for (const Address& host_ip : {to.destination, Address()}) {
    auto found = plan.ports.find({to.destination.family(), host_ip, to.protocol, to.destination_port});
    if (found != plan.ports.end()) return &found->second;
  }
  return nullptr;
}

// Uplink addresses of all routers (state/records.h, Router).
bool is_uplink(const Address& a) {
  static const Prefix uplinks[] = {*Prefix::parse("169.254.64.0/18"), *Prefix::parse("fd57:64::/32")};
  return uplinks[0].contains(a) || uplinks[1].contains(a);
}

}  // namespace

bool is_stale_on_host(const HostPlan& before, const HostPlan& now, const std::set<Address>& local,
                      const kernel::Flow& flow) {
  uint8_t protocol = flow.original.protocol;
  if (protocol != kTcp && protocol != kUdp && protocol != kSctp) return false;
  const HostPort* port = published(now, flow.original);
  const bool translated = flow.reply.source != flow.original.destination;
  if (translated)
    return is_uplink(flow.reply.source) &&
           (!port || port->router != flow.reply.source || port->router_port != flow.reply.source_port);
  return protocol == kUdp && port && !published(before, flow.original) && local.count(flow.original.destination) > 0;
}

}  // namespace fairlead::lb
