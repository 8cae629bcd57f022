#include "dns-sidecar/server.h"

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "base/log.h"

namespace fairlead::dns {
namespace {

// Four sockets per network and worker, one per question in flight: the usual soft limit of 1024 is soon reached.
void raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

Changes everything(const StateView& view) {
  Changes all;
  for (const auto& [name, record] : view.networks()) all.networks.insert(name);
  for (const auto& [key, record] : view.services()) all.services.insert(key);
  for (const auto& [key, record] : view.endpoints()) all.endpoints.insert(key);
  for (const auto& [key, record] : view.health()) all.health.insert(key);
  for (const auto& [name, record] : view.routers()) all.routers.insert(name);
  for (const auto& [key, record] : view.remote_endpoints()) all.remote_endpoints.insert(key);
  for (const auto& [key, record] : view.remote_health()) all.remote_health.insert(key);
  return all;
}

template <class Map, class Key>
typename Map::mapped_type find_or_null(const Map& map, const Key& key) {
  auto it = map.find(key);
  return it == map.end() ? nullptr : it->second;
}

}  // namespace

Result<std::unique_ptr<Server>> Server::open(const ServerOptions& options) {
  std::unique_ptr<Server> server(new Server(options));
  FL_CHECK(server->start());
  return server;
}

Result<void> Server::start() {
  raise_file_limit();
  FL_TRY(signals_, open_signals());
  // First the socket, whose lock says that no other instance serves.
  FL_TRY(status_, StatusServer::start(
                      options_.paths.socket("dns"), [this] { return metrics(); }, [this] { return status(); }));
  FL_TRY(view_, StateView::open(options_.paths));
  FL_TRY(auto resolv, ResolvConf::open(options_.resolv_conf));
  resolv_conf_ = std::make_unique<ResolvConf>(std::move(resolv));
  FL_TRY(auto forwarder, Forwarder::open(options_.limits));
  size_t count = options_.workers;
  if (count == 0) count = std::clamp<size_t>(std::thread::hardware_concurrency(), 1, 4);
  {
    std::lock_guard lock(mutex_);
    forwarder_ = std::move(forwarder);
    for (uint32_t i = 0; i < count; i++) {
      FL_TRY(auto worker, Worker::start(i, cell_, forwarder_->mailbox()));
      workers_.push_back(std::move(worker));
    }
    routers_ = std::make_unique<Routers>(workers_, options_.port);
  }
  forwarder_->start([this](const Origin& origin, const uint8_t* data, size_t size) {
    workers_[origin.worker]->reply(origin, data, size);
  });
  apply(everything(*view_));
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return fail_errno("create", "epoll");
  for (int fd : {signals_.get(), view_->fd(), resolv_conf_->fd()}) {
    epoll_event event{EPOLLIN, {.fd = fd}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return fail_errno("watch", "events");
  }
  return {};
}

Server::~Server() {
  status_.reset();
  if (forwarder_) forwarder_->drain(0);
  workers_.clear();
}

Result<void> Server::run() {
  log_info("serving " + std::to_string(view_->networks().size()) + " networks with " + std::to_string(workers_.size()) +
           " workers");
  notify_systemd("READY=1");
  auto ticked = monotonic_millis();
  for (bool stop = false; !stop;) {
    epoll_event events[4];
    int n = epoll_wait(epoll_.get(), events, 4,
                       static_cast<int>(std::clamp<Millis>(ticked + 1000 - monotonic_millis(), 0, 1000)));
    for (int i = 0; i < n; i++) {
      if (events[i].data.fd == signals_.get()) {
        FL_TRY(stop, read_signals());
      } else if (events[i].data.fd == view_->fd()) {
        FL_CHECK(on_documents(view_->refresh()));
      } else if (resolv_conf_->refresh()) {
        apply_servers();
      }
    }
    if (monotonic_millis() - ticked < 1000) continue;
    ticked = monotonic_millis();
    if (std::exchange(read_again_, false)) FL_CHECK(on_documents(view_->rescan()));
    routers_->tick();
    if (resolv_conf_->refresh()) apply_servers();
  }
  notify_systemd("STOPPING=1");
  log_info("stopping: answering what is in flight");
  forwarder_->drain(kDrain);
  for (auto& worker : workers_) worker->stop();
  return {};
}

Result<bool> Server::read_signals() {
  signalfd_siginfo info{};
  while (read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo != SIGHUP) return true;
    FL_CHECK(on_documents(view_->rescan()));
  }
  return false;
}

Result<void> Server::on_documents(Result<Changes> changes) {
  if (!changes) {
    // The directory cannot be watched or read (full, gone, forbidden): serve what is known, say so, look again.
    log_error("state directory: " + changes.error().message + "; serving what was read before, reading again soon");
    read_again_ = true;
    return {};
  }
  apply(*changes);
  return {};
}

void Server::apply(const Changes& changes) {
  const bool names = !(changes.networks.empty() && changes.services.empty() && changes.endpoints.empty() &&
                       changes.health.empty() && changes.remote_endpoints.empty() && changes.remote_health.empty());
  apply_networks(changes);
  for (const auto& key : changes.services)
    builder_.set_service(key.first, key.second, find_or_null(view_->services(), key));
  for (const auto& key : changes.endpoints)
    builder_.set_endpoint(key.first, key.second, find_or_null(view_->endpoints(), key));
  for (const auto& key : changes.health)
    builder_.set_health(key.first, key.second, "", find_or_null(view_->health(), key));
  for (const auto& key : changes.remote_endpoints)
    builder_.set_endpoint(key.first, key.second, find_or_null(view_->remote_endpoints(), key));
  for (const auto& key : changes.remote_health) {
    const auto slash = key.second.find('/');
    builder_.set_health(key.first, key.second.substr(slash + 1), key.second.substr(0, slash),
                        find_or_null(view_->remote_health(), key));
  }
  if (names) cell_.set(builder_.publish());
  std::set<std::string> routers = changes.routers;
  routers.insert(changes.networks.begin(), changes.networks.end());
  apply_routers(routers);
  if (!changes.networks.empty()) apply_servers();
  for (const auto& [path, message] : view_->problems())
    if (auto it = problems_.find(path); it == problems_.end() || it->second != message) log_warning(message);
  std::lock_guard lock(mutex_);
  problems_ = view_->problems();
}

void Server::apply_networks(const Changes& changes) {
  for (const auto& name : changes.networks) {
    auto record = find_or_null(view_->networks(), name);
    // Spoilt, not deleted: its containers keep the names they have until it is mended.
    if (!record && view_->problems().count(options_.paths.network(name))) continue;
    builder_.set_network(name, std::move(record));
  }
}

void Server::apply_routers(const std::set<std::string>& names) {
  for (const auto& name : names) {
    auto router = find_or_null(view_->routers(), name);
    if (!router && view_->problems().count(options_.paths.router(name))) continue;
    routers_->set(name, builder_.slot(name), router.get(), find_or_null(view_->networks(), name).get());
  }
}

// Our own addresses among the resolvers would be a loop.
void Server::apply_servers() {
  std::set<Address> own;
  for (const auto& [name, network] : view_->networks())
    for (int family : {AF_INET, AF_INET6})
      if (auto gateway = network->gateway(family)) own.insert(*gateway);
  auto usable = [&](std::vector<ServerAddress> list) {
    std::erase_if(list, [&](const ServerAddress& s) { return own.count(s.address) != 0; });
    return list;
  };
  std::map<uint32_t, std::vector<ServerAddress>> networks;
  for (const auto& [name, network] : view_->networks()) {
    if (network->dns_servers.empty()) continue;
    auto& list = networks[builder_.slot(name)];
    for (const auto& text : network->dns_servers)
      if (auto server = parse_server(text)) list.push_back(*server);
    list = usable(std::move(list));
  }
  auto host = usable(resolv_conf_->servers());
  if (host.empty())
    log_warning(options_.resolv_conf + " names no usable resolver; names that are not ours get SERVFAIL");
  {
    std::lock_guard lock(mutex_);
    upstreams_ = host;
  }
  forwarder_->set_servers(std::move(host), std::move(networks));
}

}  // namespace fairlead::dns
