#include "base/cni.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/names.h"

namespace fairlead::cni {
namespace {

// A GC of 10,000 attachments, listed under both keys, must fit.
constexpr JsonLimits kStdinLimits{4 << 20, 32};
constexpr std::array<std::string_view, 5> kCommands{"ADD", "DEL", "CHECK", "GC", "STATUS"};

// libcni exports all six variables always; an empty one is an absent one.
std::string variable(const char* name) {
  const char* value = ::getenv(name);
  return value ? value : "";
}

struct Problems {
  std::string missing, invalid;
  static void list(std::string& to, std::string_view what) { (to += to.empty() ? "" : ", ") += what; }
};

CniResult<void> check_environment(Request& request) {
  const std::string& c = request.command;
  bool attachment = c == "ADD" || c == "DEL" || c == "CHECK";
  request.container = variable("CNI_CONTAINERID");
  request.ifname = variable("CNI_IFNAME");
  request.netns = variable("CNI_NETNS");
  request.path = variable("CNI_PATH");
  Problems p;
  if (attachment && request.container.empty()) Problems::list(p.missing, "CNI_CONTAINERID");
  if ((c == "ADD" || c == "CHECK") && request.netns.empty()) Problems::list(p.missing, "CNI_NETNS");
  if (attachment && request.ifname.empty()) Problems::list(p.missing, "CNI_IFNAME");
  if (c == "GC" && request.path.empty()) Problems::list(p.missing, "CNI_PATH");
  if (!p.missing.empty())
    return cni_fail(kInvalidEnvironment, "missing for " + c + ": " + p.missing,
                    "set these environment variables to values that are not empty");
  if (!attachment) return {};
  if (!is_cni_id(request.container))
    Problems::list(p.invalid, "CNI_CONTAINERID (expected a letter or digit, then letters, digits, _ . -)");
  if (!is_interface_name(request.ifname))
    Problems::list(p.invalid, "CNI_IFNAME (expected 1 to 15 bytes without / : % or white space, not . or ..)");
  if (!p.invalid.empty()) return cni_fail(kInvalidEnvironment, "invalid for " + c + ": " + p.invalid);
  return {};
}

// CNI_ARGS. A pair without '=' is refused on ADD; later commands must clean up whatever it was.
CniResult<void> read_args(Request& request) {
  std::string text = variable("CNI_ARGS");
  std::string_view rest = text;
  while (!rest.empty()) {
    auto end = rest.find(';');
    auto pair = rest.substr(0, end);
    rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
    auto equals = pair.find('=');
    if (equals != pair.npos && equals > 0) {
      request.args.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
    } else if (!pair.empty() && request.command == "ADD") {
      return cni_fail(kInvalidEnvironment, "CNI_ARGS: expected KEY=VALUE pairs separated by ';', found \"" +
                                               std::string(pair.substr(0, 64)) + "\"");
    }
  }
  return {};
}

CniResult<void> read_version(Request& request) {
  auto it = request.conf->find("cniVersion");
  request.version = "0.1.0";
  if (it == request.conf->end() || it->is_null()) return {};
  if (!it->is_string()) return cni_fail(kDecodingFailure, "stdin: /cniVersion: expected a string");
  const auto& version = it->get_ref<const std::string&>();
  if (version.empty()) return {};
  std::string supported;
  for (const auto& v : supported_versions()) Problems::list(supported, v);
  if (!is_supported_version(version))
    return cni_fail(kIncompatibleVersion, "incompatible CNI version",
                    "cniVersion \"" + version.substr(0, 32) + "\" is none of: " + supported);
  std::string_view needed = request.command == "CHECK"                               ? "0.4.0"
                            : request.command == "GC" || request.command == "STATUS" ? "1.1.0"
                                                                                     : "0.1.0";
  request.version = version;
  if (!version_at_least(version, needed))
    return cni_fail(kIncompatibleVersion, request.command + " needs cniVersion " + std::string(needed) + " or newer",
                    "the configuration says " + version + "; supported are: " + supported);
  return {};
}

CniResult<void> read_names(Request& request) {
  auto name = request.conf->find("name");
  if (name == request.conf->end() || !name->is_string() || !is_cni_id(name->get_ref<const std::string&>()))
    return cni_fail(kInvalidConfig,
                    "stdin: /name: expected the network's name: a letter or digit, then letters, "
                    "digits, _ . -");
  request.name = name->get<std::string>();
  auto type = request.conf->find("type");
  if (type != request.conf->end() && type->is_string()) request.type = type->get<std::string>();
  return {};
}

CniResult<void> read_prev_result(Request& request) {
  if (request.command == "GC" || request.command == "STATUS") return {};
  auto it = request.conf->find("prevResult");
  if (it == request.conf->end() || it->is_null()) return {};
  auto result = decode_result(*it, request.version, "stdin: /prevResult");
  if (result) {
    request.prev_result = std::move(*result);
    return {};
  }
  if (request.command == "DEL") return {};  // spec: as much as possible must be cleaned up without it
  return fail(std::move(result.error()));
}

// request.version is right as soon as it is known, so that errors can carry it.
CniResult<void> read_into(Request& request, int fd) {
  FL_CHECK(check_environment(request));
  FL_CHECK(read_args(request));
  auto text = read_all(fd, kStdinLimits.bytes, "stdin");
  if (!text) return cni_fail(text.error().sys == EFBIG ? kDecodingFailure : kIoFailure, text.error().message);
  request.stdin_text = std::move(*text);
  if (request.stdin_text.empty()) return cni_fail(kDecodingFailure, "stdin: empty; expected the network configuration");
  auto conf = parse_json(request.stdin_text, "stdin", kStdinLimits);
  if (!conf) return cni_fail(kDecodingFailure, conf.error().message);
  if (!conf->is_object()) return cni_fail(kDecodingFailure, "stdin: expected a JSON object");
  request.conf = std::make_shared<const Json>(std::move(*conf));
  FL_CHECK(read_version(request));
  FL_CHECK(read_names(request));
  return read_prev_result(request);
}

// A descriptor the runtime closed would be given to the next open(2), and a result written into a netlink socket.
// "/" opened for reading refuses reads and writes alike.
void hold_standard_descriptors() {
  for (int fd = 0; fd <= 2; fd++)
    if (::fcntl(fd, F_GETFD) < 0) (void)::open("/", O_RDONLY | O_DIRECTORY);
}

int64_t now_ms() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// VERSION reads stdin only for cniVersion, so it must neither need it nor wait for one that never ends.
std::string read_briefly(int fd) {
  std::string text;
  char buffer[4096];
  int64_t end = now_ms() + 40;
  while (text.size() < kStdinLimits.bytes) {
    pollfd p{fd, POLLIN, 0};
    int64_t left = end - now_ms();
    if (left <= 0 || ::poll(&p, 1, static_cast<int>(left)) <= 0) return {};
    ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n <= 0) return n == 0 ? text : std::string();
    text.append(buffer, static_cast<size_t>(n));
  }
  return {};
}

int answer_version() {
  std::string version(kNewestVersion);
  std::string text = read_briefly(0);
  auto conf = parse_json(text, "stdin", kStdinLimits);
  if (conf && conf->is_object()) {
    auto it = conf->find("cniVersion");
    if (it != conf->end() && it->is_string() && is_supported_version(it->get_ref<const std::string&>()))
      version = it->get<std::string>();
  }
  Json j{{"cniVersion", version}, {"supportedVersions", supported_versions()}};
  return write_all(1, dump_json(j) + "\n", "stdout") ? 0 : 1;
}

int answer_error(const CniError& error, const Request& request) {
  std::string text = encode(error, request.version.empty() ? kNewestVersion : request.version) + "\n";
  if (!write_all(1, text, "stdout")) (void)write_all(2, text, "stderr");
  return 1;
}

int answer_add(const Handlers& handlers, const Request& request) {
  auto result = handlers.add(request);
  if (!result) return answer_error(result.error(), request);
  auto text = encode(*result, request.version);
  if (!text) {
    handlers.undo(request);
    return answer_error(text.error(), request);
  }
  auto written = write_all(1, *text + "\n", "stdout");
  if (written) return 0;
  // The runtime never saw the result, so it cannot know what it has to delete.
  handlers.undo(request);
  log_error(written.error().message + "; the attachment was taken back");
  return 1;
}

int dispatch(const Handlers& handlers, Request& request) {
  if (auto read = read_into(request, 0); !read) return answer_error(read.error(), request);
  if (request.command == "ADD") return answer_add(handlers, request);
  if (request.command == "CHECK" && handlers.check_needs_prev_result && !request.prev_result)
    return answer_error({kInvalidConfig, "stdin: /prevResult: CHECK needs the result of ADD; the runtime must send it"},
                        request);
  const auto& handler = request.command == "DEL"     ? handlers.del
                        : request.command == "CHECK" ? handlers.check
                        : request.command == "GC"    ? handlers.gc
                                                     : handlers.status;
  auto done = handler(request);
  return done ? 0 : answer_error(done.error(), request);
}

}  // namespace

const std::string* Request::arg(std::string_view key) const {
  for (auto it = args.rbegin(); it != args.rend(); ++it)
    if (it->first == key) return &it->second;
  return nullptr;
}

CniResult<Request> read_request(std::string_view command, int fd) {
  Request request;
  request.command = command;
  if (auto read = read_into(request, fd); !read) return fail(std::move(read.error()));
  return request;
}

std::string encode(const CniError& error, std::string_view version) {
  Json j{{"cniVersion", version}, {"code", error.code}, {"msg", error.msg.empty() ? "failed" : error.msg}};
  if (!error.details.empty()) j["details"] = error.details;
  return dump_json(j);
}

std::optional<CniError> decode_error(std::string_view text) {
  auto json = parse_json(text, "error");
  if (!json || !json->is_object()) return std::nullopt;
  auto code = json->find("code"), msg = json->find("msg"), details = json->find("details");
  if (code == json->end() || !code->is_number_integer() || msg == json->end() || !msg->is_string()) return std::nullopt;
  CniError error(code->get<int>(), msg->get<std::string>());
  if (error.code <= 0) error.code = kOwnError;
  if (details != json->end() && details->is_string()) error.details = details->get<std::string>();
  return error;
}

int run(const Handlers& handlers) {
  hold_standard_descriptors();
  ::signal(SIGPIPE, SIG_IGN);
  Request request;
  try {
    request.command = variable("CNI_COMMAND");
    if (request.command == "VERSION") return answer_version();
    if (std::find(kCommands.begin(), kCommands.end(), request.command) == kCommands.end())
      return answer_error({kInvalidEnvironment,
                           request.command.empty() ? "missing: CNI_COMMAND"
                                                   : "invalid CNI_COMMAND \"" + request.command.substr(0, 32) + "\"",
                           "expected one of ADD DEL CHECK GC STATUS VERSION; this is a CNI plugin, run by a container "
                           "runtime with its configuration on stdin"},
                          request);
    return dispatch(handlers, request);
  } catch (const std::exception& e) {
    return answer_error({999, std::string("internal error: ") + e.what()}, request);
  }
}

}  // namespace fairlead::cni
