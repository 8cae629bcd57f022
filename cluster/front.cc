#include "cluster/front.h"

#include <algorithm>
#include <cerrno>
#include <random>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "cluster/etcd_process.h"
#include "cluster/member_documents.h"
#include "cluster/seen_revision.h"

namespace fairlead::cluster {
namespace {

constexpr int kMarkTries = 40, kKeepMs = 500, kClosedMs = 100, kHandshakeMs = 5000, kRetryMs = 200;
constexpr int64_t kTendMs = 2000, kSweepMs = 30000, kCompareMs = 300000;

}  // namespace

Front::Front(Paths paths, Membership self)
    : paths_(std::move(paths)),
      self_(std::move(self)),
      etcd_(EtcdProcess(paths_, self_).socket_path()),
      registry_(paths_, self_, etcd_, feed_),
      calls_(etcd_, feed_, [this] { return load_seen_revision(paths_, self_.cluster); }),
      claims_(etcd_, feed_, calls_),
      epochs_(paths_, self_, etcd_, feed_) {
  keeper_ = std::thread([this] { keep(); });
  feeder_ = std::thread([this] { feed(); });
  listener_ = std::thread([this] { listen(); });
}

void Front::stop() {
  stop_.set();
  for (std::thread* thread : {&listener_, &feeder_, &keeper_})
    if (thread->joinable()) thread->join();
}

Result<void> Front::reload() {
  FL_TRY(Credentials credentials, load_credentials(paths_));
  FL_TRY(auto tls,
         TlsServer::make(credentials, [this](const std::string& token) { return registry_.handshake_key(token); }));
  std::lock_guard lock(mutex_);
  tls_ = std::move(tls);
  return {};
}

// The keeper's thread: etcd is its child.
void Front::keep() {
  EtcdProcess etcd(paths_, self_, [this] { calls_.close(); });
  bool founded = !self_.founder;
  int64_t tend_at = 0;
  int marks = 0;
  std::string told;
  do {
    auto done = etcd.tend();
    if (done && !founded && now_ms() >= tend_at) {
      auto made = registry_.found();
      done = made ? Result<void>() : fail(made.error());
      if (made && *made) done = calls_.begin();
      // Until the directory says which networks are the cluster's, all are divided (ipam/blocks.h).
      if (done && marks++ < kMarkTries) done = registry_.imported();
      if (done) {
        // From now on an empty store is a loss, not a beginning.
        done = update_membership(paths_, [](Membership& stored) { stored.founder = false; });
      }
      founded = done.has_value();
      if (!done && (done.error().sys == ECONNREFUSED || done.error().sys == ETIMEDOUT || done.error().sys == EAGAIN))
        done = {};  // still starting
      if (founded) log_info("cluster " + self_.cluster + " is founded");
    }
    if (done && founded && now_ms() >= tend_at) {
      tend_at = now_ms() + kTendMs;
      tend_cluster();
    }
    if (auto called = done && founded ? calls_.tend(now_ms()) : Result<void>(); !called)
      log_debug(called.error().with("roll call").message);
    if (!done && done.error().message != told) log_error(done.error().message);
    told = done ? "" : done.error().message;
  } while (stop_.sleep_ms(calls_.is_open() ? kKeepMs : kClosedMs));
}

// What any manager does for all: newcomers among the managers get their vote, what nobody owns is removed.
void Front::tend_cluster() {
  auto settings = registry_.settings();
  if (!settings && settings.error().sys == ENOENT && !self_.founder)
    log_error("etcd's store is empty; put its data back, or leave (--force) and found the cluster anew");
  if (!settings) return;
  if (auto pem = load_secret(PkiPaths(paths_).peer())) {
    auto info = inspect_certificate(*pem);
    static thread_local std::mt19937_64 random{std::random_device{}()};
    double part = std::uniform_real_distribution<double>(0, 1)(random);
    // Looked at every two seconds: the point must not be drawn anew each time, so the end of the range counts most.
    if (info && wall_seconds() >= std::max(renewal_time(*info, part), renewal_time(*info, 0.5))) {
      auto renewed = renew_peer_certificate(paths_, self_, settings->certificate_seconds);
      if (!renewed) log_error(renewed.error().with("etcd's certificate").message);
    }
  }
  tend_authority();
  if (auto members = etcd_.members())
    for (const auto& member : *members)
      if (member.learner && !member.name.empty() && etcd_.promote(member.id))
        log_info("manager " + member.name + " has its vote");
  if (auto tended = claims_.tend(now_ms(), settings->block_grace_seconds * 1000); !tended)
    log_debug(tended.error().message);
  if (auto kept = epochs_.tend(); !kept && kept.error().message != keys_problem_)
    log_error((keys_problem_ = kept.error().message));
  if (now_ms() < sweep_at_) return;  // it looks at every document
  sweep_at_ = now_ms() + kSweepMs;
  if (auto swept = registry_.sweep(); !swept) log_debug(swept.error().message);
}

// An exchange of the authority: every manager follows it, any of them finishes it.
void Front::tend_authority() {
  auto changed = registry_.follow_rotation(stop_);
  Result<void> done;
  if (!changed) done = fail(changed.error());
  if (done && *changed) done = reload();
  if (done) done = registry_.finish_rotation(false);
  if (!done && done.error().message != authority_told_) log_warning(done.error().with("cluster").message);
  authority_told_ = done ? "" : done.error().message;
}

Result<void> Front::feed_once() {
  const std::string prefix = kStorePrefix;
  const EtcdRange all{prefix, prefix_end(prefix)};
  FL_TRY(auto read, etcd_.range(all));
  Feed::Documents documents;
  for (auto& document : read.documents) documents[document.key.substr(prefix.size())] = std::move(document.value);
  feed_.replace(std::move(documents), read.revision);
  const int64_t compare_at = now_ms() + kCompareMs;
  return etcd_.watch(
      all, read.revision + 1,
      [&](const EtcdWatchLine& line) {
        if (line.canceled) return false;
        std::vector<EtcdEvent> events = line.events;
        for (auto& event : events) event.key = event.key.substr(prefix.size());
        // The line that says created tells the store's revision, not how far this watch has come.
        feed_.apply(events, line.created ? 0 : line.revision);
        return now_ms() < compare_at;  // etcd 3.4 is known to lose events: read everything now and then
      },
      stop_);
}

void Front::feed() {
  while (!stop_.is_set()) {
    auto done = feed_once();
    if (!done && done.error().sys != ECANCELED) {
      log_debug(done.error().with("feed").message);
      stop_.sleep_ms(kRetryMs);
    }
  }
}

bool Front::enter_handshake(const std::string& peer) {
  std::lock_guard lock(mutex_);
  if (handshakes_count_ >= kMaxHandshakes || handshakes_[peer] >= kMaxHandshakesOfOne) return false;
  handshakes_count_++;
  handshakes_[peer]++;
  return true;
}

void Front::leave_handshake(const std::string& peer) {
  std::lock_guard lock(mutex_);
  handshakes_count_--;
  if (--handshakes_[peer] == 0) handshakes_.erase(peer);
}

void Front::serve(Fd socket, const std::string& peer, Connection& connection) {
  std::shared_ptr<TlsServer> tls;
  {
    std::lock_guard lock(mutex_);
    tls = tls_;
  }
  auto secured = tls->accept(std::move(socket), kHandshakeMs, stop_);
  leave_handshake(peer);
  if (secured) {
    Session({paths_, self_, etcd_, feed_, registry_, calls_, claims_, epochs_, preflight_, stop_}, std::move(*secured),
            peer)
        .run();
  } else if (secured.error().sys != ECANCELED) {
    log_info("refused a connection from " + peer + ": " + secured.error().message);
  }
  connection.done = true;
}

void Front::reap(bool all) {
  for (auto it = connections_.begin(); it != connections_.end();) {
    if (all || it->done) {
      it->thread.join();
      it = connections_.erase(it);
    } else {
      ++it;
    }
  }
}

// Nobody is let in before the store has been read, and it is known how old it may be.
void Front::listen() {
  Fd listener;
  std::string told;
  while (!stop_.is_set()) {
    Result<void> ready;
    if (feed_.revision() == 0 || !feed_.get("cluster/settings") || !calls_.announced())
      ready = fail("the store cannot be read yet", EAGAIN);
    else if (auto loaded = reload(); !loaded)
      ready = fail(loaded.error());
    else if (auto bound = listen_on(self_.address); !bound)
      ready = fail(bound.error());
    else
      listener = std::move(*bound);
    if (ready) break;
    if (ready.error().sys != EAGAIN && ready.error().message != told) log_error(told = ready.error().message);
    stop_.sleep_ms(kRetryMs / 4);
  }
  if (listener) log_info("manager " + self_.name + " listens on " + to_text(self_.address));
  while (listener) {
    std::string peer;
    auto socket = accept_from(listener, peer, stop_);
    if (!socket && socket.error().sys == ECANCELED) break;
    reap(false);
    if (!socket) {
      log_error(socket.error().message);
      if (!stop_.sleep_ms(kRetryMs)) break;
      continue;
    }
    if (connections_.size() >= kMaxConnections || !enter_handshake(peer)) continue;  // closed: too many
    Connection& connection = connections_.emplace_back();
    connection.thread = std::thread([this, fd = std::make_shared<Fd>(std::move(*socket)), peer, &connection] {
      serve(std::move(*fd), peer, connection);
    });
  }
  reap(true);
}

}  // namespace fairlead::cluster
