#include <unistd.h>

#include "cni-plugin/attachment.h"
#include "cni-plugin/ipam_call.h"
#include "cni-plugin/network.h"
#include "kernel/ipsec_probe.h"
#include "kernel/netns.h"
#include "kernel/rtnl.h"
#include "kernel/wireguard.h"
#include "kernel/xfrm.h"
#include "overlay/router_check.h"
#include "overlay/wireguard_plan.h"
#include "state/store.h"
#include "state/vxlan_port.h"

namespace fairlead::plugin {
namespace {

using cni::cni_fail;
using cni::CniResult;
using cni::Request;

CniResult<void> not_available(std::string why) { return cni_fail(cni::kNotAvailable, std::move(why)); }

// What ADD would have to write. Missing folders are made by the first ADD; what must exist is a writable parent.
CniResult<void> check_folders(const Paths& paths) {
  for (std::string folder : {paths.run, paths.state}) {
    while (::access(folder.c_str(), F_OK) != 0 && folder.rfind('/') > 0) folder.resize(folder.rfind('/'));
    if (::access(folder.c_str(), W_OK) != 0 || ::access(folder.c_str(), X_OK) != 0)
      return not_available(folder + ": cannot be written");
  }
  return {};
}

Result<std::string> missing_for_wireguard() {
  FL_TRY(auto wireguard, kernel::Wireguard::open());
  return wireguard ? "" : kernel::kNoWireguard;
}

CniResult<void> check_encryption(const Network& network) {
  if (network.encryption == "none") return {};
  auto missing = network.encryption == "ipsec" ? kernel::missing_for_ipsec() : missing_for_wireguard();
  if (!missing) return not_available(missing.error().message);
  if (!missing->empty())
    return not_available("network " + network.name + ": encryption " + network.encryption +
                         " is not possible on this node: " + *missing);
  return {};
}

// Why nothing of an encrypted network leaves this node: there are other nodes, and no association for sending to any.
// One node without is that node's trouble.
Result<std::string> cut_off_by_wireguard(const Paths& paths) {
  FL_TRY(auto nodes, list_documents(paths.nodes()));
  if (nodes.size() < 2) return "";
  const std::string name = overlay::kWireguardLink, device = "encrypted, and the WireGuard device " + name;
  FL_TRY(auto wireguard, kernel::Wireguard::open());
  if (!wireguard) return std::string(kernel::kNoWireguard);
  FL_TRY(auto there, wireguard->find(name));
  if (!there) return device + " is gone";
  if (there->peers.empty()) return device + " has none of the other nodes as a peer";
  FL_TRY(auto socket, kernel::NetlinkSocket::open(NETLINK_ROUTE));
  FL_TRY(auto link, kernel::find_link(socket, there->index));
  return link && link->up ? "" : device + " is down";
}

Result<std::string> cut_off(const Paths& paths, const Network& network) {
  if (network.encryption == "wireguard") return cut_off_by_wireguard(paths);
  if (network.encryption != "ipsec") return "";
  FL_TRY(auto socket, kernel::open_xfrm());
  if (!socket) return std::string("this kernel has no IPsec");
  FL_TRY(auto policies, kernel::dump_policies(*socket));
  int from = 0, to = 0;
  for (const auto& p : policies) {
    if (!p.esp || p.esp->request_id != kernel::kRequestId || p.port != vxlan_port(network)) continue;
    (p.direction == kernel::Direction::kIn ? from : to)++;
  }
  if (from == 0 || to > 0) return "";
  return "encrypted, and there is no security association for sending to any of the other " + std::to_string(from) +
         " nodes";
}

// Code 51, "limited connectivity": the router is not what the containers that are attached need. Without any, the next
// ADD makes what is missing.
CniResult<void> check_router(const Paths& paths, const Network& network) {
  FL_TRY(auto endpoints, list_documents(paths.endpoints(network.name)));
  if (endpoints.empty()) return {};
  const std::string who =
      "network " + network.name + ": its " + std::to_string(endpoints.size()) + " containers on this node suffer: ";
  auto limited = [&](const std::string& why) {
    return cni_fail(
        cni::kLimitedConnectivity,
        who + why + "; fairlead-agent repairs it when it runs, `fairlead-agent realise " + network.name + "` at once");
  };
  auto router = find_router(paths, network.name);
  if (!router) return limited(router.error().message);
  if (!*router) return limited("its router is gone");
  std::string missing;
  auto looked = kernel::in_netns((*router)->netns.get(), [&]() -> Result<void> {
    FL_TRY(missing, overlay::missing_in_router(network, (*router)->record));
    return {};
  });
  if (!looked) return limited(looked.error().message);
  if (!missing.empty()) return limited(missing);
  auto cut = cut_off(paths, network);
  if (!cut) return limited(cut.error().message);
  if (!cut->empty()) return limited(*cut);
  return {};
}

}  // namespace

CniResult<void> status(const Paths& paths, const Request& request) {
  FL_TRY(Config config, read_config(request));
  auto network = load_network(paths, config.network.name);
  if (!network) return not_available(network.error().message);
  FL_CHECK(check_folders(paths));
  FL_CHECK(check_encryption(*network ? **network : config.network));
  auto router = find_router(paths, config.network.name);
  if ((!router || !*router) && find_agent().empty())
    return not_available("network " + config.network.name +
                         " has no router on this node and fairlead-agent, which makes it, was not found");
  if (*network) FL_CHECK(check_router(paths, **network));
  // The first ADD makes the network from the configuration; until then none of its addresses can be used up.
  if (!*network && config.ipam_type == kOwnIpam) return {};
  return ipam_status(paths, request, config.ipam_type, *network ? &**network : nullptr);
}

}  // namespace fairlead::plugin
