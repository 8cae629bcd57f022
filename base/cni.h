// The CNI protocol (spec 0.1.0 to 1.1.0) as both of our plugins speak it: environment and stdin in, one JSON document
// on stdout out. Facts and check ids: CNI spec, sections 2 to 5; conformance/cni.
//
// Promise: nothing but the result or the error object goes to stdout; every error carries cniVersion; hostile input
// (sizes, nesting, names) ends in a clean error before a handler runs. Threads: single-threaded programs only.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/cni_result.h"
#include "base/json.h"

namespace fairlead::cni {

inline constexpr std::string_view kNewestVersion = "1.1.0";
// Exact strings; there is no "compatible" version.
const std::vector<std::string>& supported_versions();  // oldest first
bool is_supported_version(std::string_view version);
// true when version is the same as or newer than at_least; both must be supported ones.
bool version_at_least(std::string_view version, std::string_view at_least);

struct Request {
  std::string command;                                    // ADD DEL CHECK GC STATUS
  std::string container, netns, ifname, path;             // validated; empty where the command does not need them
  std::vector<std::pair<std::string, std::string>> args;  // CNI_ARGS, in order
  std::string stdin_text;                                 // as it came, for delegated plugins
  std::shared_ptr<const Json> conf;
  std::string version;  // cniVersion; "0.1.0" when absent
  std::string name;     // the network's name in the configuration
  std::string type;
  // ADD and CHECK: a bad one is an error. DEL: a bad one is as none.
  std::optional<AddResult> prev_result;

  const std::string* arg(std::string_view key) const;  // the last one wins; nullptr when absent
};

// Checks CNI_* and reads the configuration from fd; VERSION is not for this function.
CniResult<Request> read_request(std::string_view command, int fd);

struct Handlers {
  std::function<CniResult<AddResult>(const Request&)> add;
  std::function<CniResult<void>(const Request&)> del, check, gc, status;
  // Takes back an ADD whose result could not be delivered (stdout closed or full). Usually what DEL does.
  std::function<void(const Request&)> undo;
  bool check_needs_prev_result = true;  // IPAM plugins know their leases without it
};
// The whole life of a plugin process; returns the exit status. Also keeps descriptors 0 to 2 from being taken by
// others when the runtime closed them, and ignores SIGPIPE.
int run(const Handlers& handlers);

// {"cniVersion":…,"code":…,"msg":…,"details":…} in one line.
std::string encode(const CniError& error, std::string_view version);
// The error object a plugin printed; nullopt when text is none.
std::optional<CniError> decode_error(std::string_view text);

}  // namespace fairlead::cni
