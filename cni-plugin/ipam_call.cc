#include "cni-plugin/ipam_call.h"

#include "base/cni_delegate.h"
#include "ipam/ipam.h"

namespace fairlead::plugin {

using cni::CniResult;
using cni::Request;

namespace {

CniResult<void> run(const Request& request, const std::string& type, const char* command) {
  auto done = cni::delegate(request, type, command);
  if (!done) return fail(done.error());
  return {};
}

// GC and STATUS: plugins from before CNI 1.1 do not know them, which is no failure of the network.
CniResult<void> run_if_known(const Request& request, const std::string& type, const char* command) {
  auto done = run(request, type, command);
  if (!done && cni::means_unsupported(done.error())) return {};
  return done;
}

}  // namespace

CniResult<cni::AddResult> ipam_add(const Paths& paths, const Request& request, const std::string& type,
                                   const Network* network) {
  if (type == kOwnIpam) return ipam::add(paths, request, network, true);
  auto result = cni::delegate_add(request, type);
  if (result && result->ips.empty()) result = cni::cni_fail(cni::kOwnError, "IPAM plugin " + type + " gave no address");
  // Spec section 4: a failed ADD is followed by a DEL; the plugin may have got half way.
  if (!result) (void)cni::delegate(request, type, "DEL");
  return result;
}

CniResult<void> ipam_del(const Paths& paths, const Request& request, const std::string& type) {
  return type == kOwnIpam ? ipam::del(paths, request) : run(request, type, "DEL");
}

CniResult<void> ipam_check(const Paths& paths, const Request& request, const std::string& type) {
  return type == kOwnIpam ? ipam::check(paths, request) : run(request, type, "CHECK");
}

CniResult<void> ipam_gc(const Paths& paths, const Request& request, const std::string& type) {
  return type == kOwnIpam ? ipam::gc(paths, request) : run_if_known(request, type, "GC");
}

CniResult<void> ipam_status(const Paths& paths, const Request& request, const std::string& type,
                            const Network* network) {
  return type == kOwnIpam ? ipam::status(paths, request, network) : run_if_known(request, type, "STATUS");
}

}  // namespace fairlead::plugin
