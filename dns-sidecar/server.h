// fairlead-dns put together: documents in, snapshots out, sockets where routers are.
// Threads: the main one (run), the workers, the forwarder, and the status server's.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/daemon.h"
#include "dns-sidecar/forwarder.h"
#include "dns-sidecar/resolv_conf.h"
#include "dns-sidecar/routers.h"
#include "dns-sidecar/snapshot_cell.h"
#include "dns-sidecar/worker.h"
#include "dns-sidecar/zone_builder.h"
#include "state/view.h"

namespace fairlead::dns {

struct ServerOptions {
  Paths paths;
  std::string resolv_conf = "/etc/resolv.conf";
  uint16_t port = kDnsPort;
  size_t workers = 0;  // 0: as many as processors, at most four
  ForwardLimits limits;
};

class Server {
 public:
  // Everything listening that can be; an error when another instance runs. Call before any other thread exists:
  // signals are blocked here.
  static Result<std::unique_ptr<Server>> open(const ServerOptions& options);
  ~Server();
  // Until SIGTERM or SIGINT; SIGHUP reads everything again. In-flight questions get their answer, at most kDrain later.
  Result<void> run();

 private:
  static constexpr Millis kDrain = 1500;

  explicit Server(const ServerOptions& options) : options_(options) {}
  Result<void> start();
  Result<void> on_documents(Result<Changes> changes);
  void apply(const Changes& changes);
  void apply_networks(const Changes& changes);
  void apply_routers(const std::set<std::string>& names);
  void apply_servers();
  Result<bool> read_signals();
  std::string metrics() const;
  std::string status() const;

  ServerOptions options_;
  Fd signals_, epoll_;
  std::unique_ptr<StateView> view_;
  std::unique_ptr<ResolvConf> resolv_conf_;
  ZoneBuilder builder_;
  SnapshotCell cell_;
  std::unique_ptr<Forwarder> forwarder_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Routers> routers_;
  bool read_again_ = false;  // the state directory could not be read; at the next tick
  // For the status thread.
  mutable std::mutex mutex_;
  std::vector<ServerAddress> upstreams_;
  std::map<std::string, std::string> problems_;
  // Last: it is the first to go, and calls the others.
  std::unique_ptr<StatusServer> status_;
};

}  // namespace fairlead::dns
