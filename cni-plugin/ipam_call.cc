#include "cni-plugin/ipam_call.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/cni_config.h"
#include "base/cni_delegate.h"
#include "base/duration.h"
#include "ipam/ipam.h"

namespace fairlead::plugin {

using cni::CniResult;
using cni::Request;

namespace {

constexpr uint32_t kShortestMs = 100, kLongestMs = 600000;
// Of the DEL that takes back an ADD which took too long already.
constexpr int kUndoMs = 10000;

// The key ipamTimeout, a duration.
CniResult<cni::DelegateLimits> limits_of(const Request& request) {
  cni::DelegateLimits limits;
  const Json* value = cni::find_member(*request.conf, "ipamTimeout");
  if (!value) return limits;
  auto ms = value->is_string() ? parse_duration(value->get<std::string>()) : std::nullopt;
  if (!ms || *ms < kShortestMs || *ms > kLongestMs)
    return cni::cni_fail(cni::kInvalidConfig,
                         "configuration: /ipamTimeout: expected a duration from \"100ms\" to \"10m\"");
  limits.timeout_ms = static_cast<int>(*ms);
  return limits;
}

CniResult<void> run(const Request& request, const std::string& type, const char* command) {
  // A bad value is told by ADD; it must not keep an address from being released.
  auto done = cni::delegate(request, type, command, limits_of(request).value_or(cni::DelegateLimits{}));
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
                                   const Network* network, const std::vector<std::string>& names) {
  if (type == kOwnIpam) return ipam::add(paths, request, network, &names);
  FL_TRY(auto limits, limits_of(request));
  auto result = cni::delegate_add(request, type, limits);
  if (result && result->ips.empty()) result = cni::cni_fail(cni::kOwnError, "IPAM plugin " + type + " gave no address");
  // Spec section 4: a failed ADD is followed by a DEL; the plugin may have got half way.
  limits.timeout_ms = std::min(limits.timeout_ms, kUndoMs);
  if (!result) (void)cni::delegate(request, type, "DEL", limits);
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
