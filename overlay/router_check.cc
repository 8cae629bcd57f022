#include "overlay/router_check.h"

#include <linux/netlink.h>

#include <algorithm>
#include <sstream>

#include "kernel/nft_dump.h"
#include "kernel/rtnl.h"
#include "overlay/names.h"
#include "overlay/router_rules.h"

namespace fairlead::overlay {
namespace {

constexpr uint32_t kLoopbackIndex = 1;  // in every namespace

Result<std::string> missing_rules(const Network& network, const Router& router) {
  FL_TRY(auto socket, kernel::NetlinkSocket::open(NETLINK_NETFILTER));
  FL_TRY(auto there, kernel::chains_with_rules(socket, kRouterTable));
  const std::string table = std::string("nftables table inet ") + kRouterTable;
  if (there.empty()) return table + " is missing in the router, or has no rules";
  // Neighbours in a mesh add rules to these chains, no chains.
  for (const auto& chain : chains_with_rules_in(router_rules(network, router)))
    if (!there.count(chain)) return "chain " + chain + " of " + table + " is missing in the router, or has no rules";
  return std::string();
}

}  // namespace

std::set<std::string> chains_with_rules_in(const std::string& rules) {
  std::set<std::string> chains;
  std::istringstream lines(rules);
  std::string line, chain, word;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    if (!(words >> word) || word == "table" || word == "delete" || word == "}" || word == "type") continue;
    if (word == "chain")
      words >> chain;
    else if (!chain.empty())
      chains.insert(chain);
  }
  return chains;
}

Result<std::string> missing_in_router(const Network& network, const Router& router) {
  FL_TRY(auto socket, kernel::NetlinkSocket::open(NETLINK_ROUTE));
  FL_TRY(auto uplink, kernel::find_link(socket, kRouterUplink));
  if (!uplink) return std::string("uplink ") + kRouterUplink + " is missing in the router";
  if (!uplink->up) return std::string("uplink ") + kRouterUplink + " of the router is down";
  FL_TRY(auto addresses, kernel::dump_addresses(socket, kLoopbackIndex));
  for (const auto& subnet : network.subnets) {
    auto gateway = network.gateway(subnet.family());
    if (std::none_of(addresses.begin(), addresses.end(), [&](const auto& a) { return a.prefix.address == gateway; }))
      return "gateway address " + gateway->to_string() + " is missing in the router";
  }
  return missing_rules(network, router);
}

}  // namespace fairlead::overlay
