// What a CNI plugin answers: error or ADD result, and the conversion of results between the spec's versions.
// Pure. Rules of conversion: containernetworking/cni pkg/types/{020,040,100}.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "base/json.h"
#include "base/result.h"

namespace fairlead::cni {

// Spec section 5, "Error"; 8 is the reference library's; from 100 on they are the plugin's own.
enum Code {
  kIncompatibleVersion = 1,
  kUnsupportedField = 2,  // the message must contain the key and its value
  kUnknownContainer = 3,  // tells the runtime that nothing needs a DEL
  kInvalidEnvironment = 4,
  kIoFailure = 5,
  kDecodingFailure = 6,
  kInvalidConfig = 7,
  kInvalidNetns = 8,
  kTryAgainLater = 11,
  kNotAvailable = 50,
  kLimitedConnectivity = 51,
  kOwnError = 100,
  kAddressInUse = 101,  // a requested address, or the attachment has addresses already
};

struct CniError {
  int code = kOwnError;
  std::string msg;
  std::string details;

  CniError() = default;
  CniError(int c, std::string m, std::string d = "") : code(c), msg(std::move(m)), details(std::move(d)) {}
  // A failure of ours that has no code of its own.
  CniError(Error error) : msg(std::move(error.message)) {}  // NOLINT: implicit, so that FL_TRY works
  CniError with(std::string_view context) const { return {code, std::string(context) + ": " + msg, details}; }
};

template <class T = void>
using CniResult = tl::expected<T, CniError>;

// For "return cni_fail(kInvalidConfig, ...)".
inline tl::unexpected<CniError> cni_fail(int code, std::string msg, std::string details = "") {
  return tl::unexpected<CniError>(CniError(code, std::move(msg), std::move(details)));
}

struct Interface {
  std::string name;
  std::string mac;                  // text as given: not only Ethernet has addresses
  uint32_t mtu = 0;                 // 0: not set; since 1.1.0
  std::string sandbox;              // empty: on the host
  std::string socket_path, pci_id;  // since 1.1.0
};

struct IpConfig {
  Prefix address;
  std::optional<Address> gateway;
  std::optional<uint32_t> interface;  // index into interfaces
};

struct RouteConfig {
  Prefix destination;
  std::optional<Address> gateway;
  // Since 1.1.0. "Set to 0" and "not set" differ (table, scope).
  std::optional<uint32_t> mtu, advmss, priority, table, scope;
};

struct Dns {
  std::vector<std::string> nameservers;
  std::string domain;
  std::vector<std::string> search, options;
  bool empty() const { return nameservers.empty() && domain.empty() && search.empty() && options.empty(); }
};

struct AddResult {
  std::vector<Interface> interfaces;
  std::vector<IpConfig> ips;
  std::vector<RouteConfig> routes;
  Dns dns;
};

// A result in any supported version; its own cniVersion decides, or assumed_version when it has none.
// Error: kDecodingFailure with the place.
CniResult<AddResult> decode_result(const Json& json, std::string_view assumed_version, const std::string& source);
// One line of JSON in that version. Error: 0.1.0 and 0.2.0 cannot say "no address".
CniResult<std::string> encode(const AddResult& result, std::string_view version);
Result<Dns> decode_dns(const Json& json, const std::string& source);

}  // namespace fairlead::cni

namespace fairlead {
// Lets FL_TRY and FL_CHECK hand on CNI errors.
inline tl::unexpected<cni::CniError> fail(cni::CniError error) {
  return tl::unexpected<cni::CniError>(std::move(error));
}
}  // namespace fairlead
