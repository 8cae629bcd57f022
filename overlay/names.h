// Names and addresses every part must agree on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "state/records.h"

namespace fairlead::overlay {

// The anycast gateway's MAC, the same on every node.
inline constexpr std::array<uint8_t, 6> kGatewayMac{0x02, 0x57, 0xff, 0xff, 0xff, 0x01};
inline constexpr const char* kRouterUplink = "ul";       // in the router
inline constexpr const char* kRouterTable = "fairlead";  // nft table inet fairlead in the router, by the agent
inline constexpr const char* kQuoteTable =
    "fairlead_ipsec";  // nft table on the host, as long as IPsec policies are there
inline constexpr const char* kHostTable = "fairlead_host";  // nft table on the host, by the agent
inline constexpr const char* kLbTable = "fairlead_lb";      // nft tables on the host and in routers, by fairlead-lb
inline constexpr const char* kDomain = "fairlead.internal";

std::string router_netns_name(uint32_t vni);  // "fl-1001"
std::string uplink_name(uint32_t vni);        // "ul1001"
// The host end of a container's veth, in the router: 'c' and 14 hex digits of a hash; stable, unique per attachment.
std::string host_ifname(std::string_view network, std::string_view container, std::string_view ifname);
// Fills netns, uplink and the uplink addresses of a router from its network and its index on this node.
Router make_router(const Network& network, uint32_t index, uint32_t mtu);

}  // namespace fairlead::overlay
