#include <unistd.h>

#include "cni-plugin/attachment.h"
#include "cni-plugin/ipam_call.h"
#include "cni-plugin/network.h"
#include "kernel/ipsec_probe.h"
#include "kernel/netns.h"
#include "overlay/router_check.h"
#include "state/store.h"

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

CniResult<void> check_encryption(const Network& network) {
  if (network.encryption != "ipsec") return {};
  auto missing = kernel::missing_for_ipsec();
  if (!missing) return not_available(missing.error().message);
  if (!missing->empty())
    return not_available("network " + network.name + ": encryption ipsec is not possible on this node: " + *missing);
  return {};
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
