#include "dns-sidecar/forwarder.h"

#include <sys/epoll.h>

#include <algorithm>
#include <chrono>

namespace fairlead::dns {
namespace {

constexpr uint64_t kTcp = uint64_t{1} << 63, kMail = ~uint64_t{0}, kServers = kMail - 1;
constexpr size_t kMailLimit = 16384;

}  // namespace

Millis monotonic_millis() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Forwarder::Forwarder(ForwardLimits limits, uint16_t port, Fd epoll)
    : epoll_(std::move(epoll)),
      mail_(kMailLimit),
      new_servers_(1024),
      udp_(epoll_.get(), port),
      tcp_(epoll_.get(), kTcp, port),
      table_(*this, *this, limits),
      buffer_(kMaxTcpBytes) {}

Result<std::unique_ptr<Forwarder>> Forwarder::open(ForwardLimits limits, uint16_t port) {
  Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno("create", "epoll");
  std::unique_ptr<Forwarder> f(new Forwarder(limits, port, std::move(epoll)));
  FL_CHECK(f->mail_.open());
  FL_CHECK(f->new_servers_.open());
  epoll_event mail{EPOLLIN, {.u64 = kMail}}, servers{EPOLLIN, {.u64 = kServers}};
  if (epoll_ctl(f->epoll_.get(), EPOLL_CTL_ADD, f->mail_.fd(), &mail) != 0 ||
      epoll_ctl(f->epoll_.get(), EPOLL_CTL_ADD, f->new_servers_.fd(), &servers) != 0)
    return fail_errno("watch", "the forwarder's mailbox");
  return f;
}

Forwarder::~Forwarder() { drain(0); }

void Forwarder::start(Reply reply) {
  reply_ = std::move(reply);
  thread_ = std::thread([this] { run(); });
}

void Forwarder::drain(Millis limit) {
  if (!thread_.joinable()) return;
  stop_at_ = monotonic_millis() + limit;
  new_servers_.push({}, true);  // only to wake it; a stopping forwarder does not look inside
  thread_.join();
}

void Forwarder::set_servers(std::vector<ServerAddress> host, std::map<uint32_t, std::vector<ServerAddress>> networks) {
  new_servers_.push({std::move(host), std::move(networks)}, true);
}

Forwarder::Report Forwarder::report() const {
  std::lock_guard lock(mutex_);
  return report_;
}

bool Forwarder::send(AttemptId attempt, const ServerAddress& server, const uint8_t* data, size_t size, bool tcp) {
  return tcp ? tcp_.send(attempt, server, data, size) : udp_.send(attempt, server, data, size);
}

void Forwarder::cancel(AttemptId attempt) {
  udp_.cancel(attempt);
  tcp_.cancel(attempt);
}

void Forwarder::reply(const Origin& origin, const uint8_t* data, size_t size) { reply_(origin, data, size); }

void Forwarder::run() {
  epoll_event events[64];
  for (;;) {
    publish_report();
    Millis now = monotonic_millis(), stop = stop_at_.load();
    if (stop >= 0 && (now >= stop || table_.in_flight() == 0)) return;
    int n = epoll_wait(epoll_.get(), events, 64, wait_time(now));
    now = monotonic_millis();
    for (int i = 0; i < n; i++) {
      uint64_t data = events[i].data.u64;
      if (data == kMail)
        read_mail(now);
      else if (data == kServers)
        take_servers();
      else if (data & kTcp)
        tcp_.on_event(static_cast<int>(data & 0x7fffffff), events[i].events);
      else
        read_udp(now, data);
    }
    collect_tcp(now);
    table_.on_time(monotonic_millis());
  }
}

int Forwarder::wait_time(Millis now) const {
  Millis next = table_.next_time();
  int wait = next < 0 ? -1 : static_cast<int>(std::clamp<Millis>(next - now, 0, 60000));
  int tcp = tcp_.timeout();
  if (tcp >= 0 && (wait < 0 || tcp < wait)) wait = tcp;
  if (stop_at_.load() >= 0 && (wait < 0 || wait > 20)) wait = 20;
  return wait;
}

void Forwarder::read_mail(Millis now) {
  take_servers();  // what was set before these questions holds for them
  requests_.clear();
  mail_.take(requests_);
  for (const auto& request : requests_) table_.submit(now, request);
}

void Forwarder::take_servers() {
  std::vector<Servers> all;
  new_servers_.take(all);
  if (all.empty() || stop_at_.load() >= 0) return;
  known_ = all.back().host;
  for (const auto& [slot, list] : all.back().networks) known_.insert(known_.end(), list.begin(), list.end());
  table_.set_servers(all.back().host, all.back().networks);
}

void Forwarder::read_udp(Millis now, AttemptId attempt) {
  // A forger may have filled the socket; what is left stays for the next round.
  for (int i = 0; i < 16; i++) {
    ssize_t n = udp_.receive(attempt, buffer_.data(), buffer_.size());
    if (n == 0) return;
    if (n < 0) return table_.on_error(now, attempt);
    table_.on_answer(now, attempt, buffer_.data(), static_cast<size_t>(n));
  }
}

void Forwarder::collect_tcp(Millis now) {
  results_.clear();
  tcp_.collect(results_);
  for (const auto& result : results_) {
    if (result.failed)
      table_.on_error(now, result.attempt);
    else
      table_.on_answer(now, result.attempt, result.data.data(), result.data.size());
  }
}

void Forwarder::publish_report() {
  Report report{table_.stats(), table_.in_flight(), table_.waiting(), {}};
  for (const auto& server : known_)
    if (table_.is_silent(server)) report.silent.push_back(server);
  std::lock_guard lock(mutex_);
  report_ = std::move(report);
}

}  // namespace fairlead::dns
