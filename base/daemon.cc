#include "base/daemon.h"

#include <fcntl.h>
#include <httplib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "base/file.h"
#include "base/log.h"

namespace fairlead {

Result<DaemonOptions> parse_daemon_options(int argc, char** argv) {
  DaemonOptions options;
  for (int i = 1; i < argc; i++) {
    std::string_view argument = argv[i];
    // --key VALUE and --key=VALUE
    std::string_view key = argument.substr(0, argument.find('='));
    bool takes_value = key == "--state-dir" || key == "--run-dir" || key == "--log-level";
    std::string value;
    if (takes_value) {
      if (key.size() < argument.size())
        value = argument.substr(key.size() + 1);
      else if (i + 1 < argc)
        value = argv[++i];
      if (value.empty()) return fail(std::string(key) + ": needs a value");
    }
    if (key == "--state-dir")
      options.state_dir = value;
    else if (key == "--run-dir")
      options.run_dir = value;
    else if (key == "--log-level") {
      FL_TRY(LogLevel level, parse_log_level(value));
      set_log_level(level);
    } else if (argument == "--help" || argument == "-h")
      options.help = true;
    else if (argument == "--version")
      options.version = true;
    else
      options.rest.emplace_back(argument);
  }
  if (!options.state_dir.empty()) setenv("FAIRLEAD_STATE_DIR", options.state_dir.c_str(), 1);
  if (!options.run_dir.empty()) setenv("FAIRLEAD_RUN_DIR", options.run_dir.c_str(), 1);
  return options;
}

Result<Fd> open_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, s);
  if (pthread_sigmask(SIG_BLOCK, &set, nullptr) != 0) return fail_errno("block", "signals");
  std::signal(SIGPIPE, SIG_IGN);
  Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno("open", "signalfd");
  return fd;
}

void notify_systemd(std::string_view state) {
  const char* path = getenv("NOTIFY_SOCKET");
  if (!path || !*path) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  size_t length = strlen(path);
  if (length >= sizeof address.sun_path) return;
  memcpy(address.sun_path, path, length);
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';  // abstract (sd_notify(3))
  Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return;
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  (void)::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address), size);
}

namespace {

class HttpStatusServer : public StatusServer {
 public:
  HttpStatusServer(Fd lock, std::string path) : lock_(std::move(lock)), path_(std::move(path)) {}
  ~HttpStatusServer() override {
    server_.stop();
    if (thread_.joinable()) thread_.join();
    ::unlink(path_.c_str());
  }

  Result<void> start(std::function<std::string()> metrics, std::function<std::string()> status) {
    server_.Get("/metrics", [metrics](const httplib::Request&, httplib::Response& response) {
      response.set_content(metrics(), "text/plain; version=0.0.4");
    });
    server_.Get("/status", [status](const httplib::Request&, httplib::Response& response) {
      response.set_content(status(), "application/json");
    });
    // The library's default is eight threads and tells callers the text of exceptions.
    server_.new_task_queue = [] { return new httplib::ThreadPool(2); };
    server_.set_exception_handler(
        [](const httplib::Request&, httplib::Response& response, std::exception_ptr) { response.status = 500; });
    server_.set_keep_alive_max_count(1);
    server_.set_read_timeout(2);
    server_.set_payload_max_length(0);
    server_.set_address_family(AF_UNIX);
    ::unlink(path_.c_str());  // ours: the lock is held
    // The socket takes the umask's mode; nobody but root and its group may connect, not even for a moment.
    mode_t before = ::umask(0117);
    bool bound = server_.bind_to_port(path_, 80);
    ::umask(before);
    if (!bound) return fail_errno("listen on", path_);
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // stop() before the loop has begun would be forgotten by it.
    for (int i = 0; i < 2000 && !server_.is_running(); i++) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return {};
  }

 private:
  Fd lock_;
  std::string path_;
  httplib::Server server_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<StatusServer>> StatusServer::start(const std::string& path, std::function<std::string()> metrics,
                                                          std::function<std::string()> status) {
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    return fail(path + ": longer than a socket's path may be; choose a shorter --run-dir");
  auto slash = path.rfind('/');
  if (slash != std::string::npos && slash > 0) FL_CHECK(make_folders(path.substr(0, slash)));
  auto lock = lock_file(path + ".lock", 0);
  if (!lock) {
    if (lock.error().sys == EWOULDBLOCK)
      return fail("another instance is running (it holds " + path + ".lock)", EEXIST);
    return fail(lock.error());
  }
  auto server = std::make_unique<HttpStatusServer>(std::move(*lock), path);
  FL_CHECK(server->start(std::move(metrics), std::move(status)));
  return std::unique_ptr<StatusServer>(std::move(server));
}

Result<std::string> get_from_daemon(const std::string& socket_path, const std::string& path, int timeout_ms) {
  struct stat st {};
  if (::stat(socket_path.c_str(), &st) != 0) return fail_errno("connect to", socket_path);
  httplib::Client client(socket_path);
  client.set_address_family(AF_UNIX);
  client.set_connection_timeout(timeout_ms / 1000, timeout_ms % 1000 * 1000);
  client.set_read_timeout(timeout_ms / 1000, timeout_ms % 1000 * 1000);
  // The library sends the socket's path as Host, which strict servers refuse.
  auto response = client.Get(path, {{"Host", "localhost"}});
  if (!response) return fail("connect to " + socket_path + ": " + httplib::to_string(response.error()), ECONNREFUSED);
  if (response->status != 200) return fail(socket_path + path + ": HTTP status " + std::to_string(response->status));
  return response->body;
}

}  // namespace fairlead
