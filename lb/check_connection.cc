#include "lb/check_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "lb/http_head.h"

namespace fairlead::lb {
namespace {

socklen_t fill(sockaddr_storage& storage, const Address& address, uint16_t port) {
  memset(&storage, 0, sizeof storage);
  storage.ss_family = static_cast<sa_family_t>(address.family());
  if (address.is_v4()) {
    auto* in = reinterpret_cast<sockaddr_in*>(&storage);
    in->sin_port = htons(port);
    memcpy(&in->sin_addr, address.bytes(), 4);
    return sizeof *in;
  }
  auto* in6 = reinterpret_cast<sockaddr_in6*>(&storage);
  in6->sin6_port = htons(port);
  memcpy(&in6->sin6_addr, address.bytes(), 16);
  return sizeof *in6;
}

bool again(int sys) { return sys == EAGAIN || sys == EWOULDBLOCK || sys == EINTR; }
bool own_problem(int sys) { return sys == EMFILE || sys == ENFILE || sys == ENOMEM || sys == ENOBUFS; }

}  // namespace

std::string health_request(const HealthTarget& target) {
  std::string host = target.config.host;
  if (host.empty()) {
    host = target.address.is_v6() ? "[" + target.address.to_string() + "]" : target.address.to_string();
    if (target.port != 80) host += ":" + std::to_string(target.port);
  }
  return "GET " + target.config.path + " HTTP/1.1\r\nHost: " + host +
         "\r\nUser-Agent: fairlead-lb/" FAIRLEAD_VERSION "\r\nAccept: */*\r\nConnection: close\r\n\r\n";
}

Result<CheckConnection> CheckConnection::open(const HealthTarget& target) {
  CheckConnection check;
  check.fd_.reset(::socket(target.address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  if (!check.fd_) return fail_errno("open", "socket for a health check");
  int on = 1;
  linger reset{1, 0};
  ::setsockopt(check.fd_.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  ::setsockopt(check.fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_storage address;
  if (target.source) {
    // Without IP_BIND_ADDRESS_NO_PORT a port would be unique per address instead of per connection, and they run out.
    ::setsockopt(check.fd_.get(), SOL_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    socklen_t size = fill(address, target.source, 0);
    // Not being able to (the gateway address is not there yet) leaves the choice to the kernel.
    (void)::bind(check.fd_.get(), reinterpret_cast<sockaddr*>(&address), size);
  }
  socklen_t size = fill(address, target.address, target.port);
  if (::connect(check.fd_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 && errno != EINPROGRESS) {
    if (own_problem(errno)) return fail_errno("connect", "health check");
    check.refused_ = true;
  }
  if (target.config.type == "http") check.request_ = health_request(target);
  return check;
}

std::optional<CheckResult> CheckConnection::step() {
  if (refused_) return CheckResult::kRefused;
  if (phase_ == Phase::kConnecting) {
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) return CheckResult::kRefused;
    sockaddr_storage peer;
    socklen_t peer_size = sizeof peer;
    if (::getpeername(fd_.get(), reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0) return std::nullopt;
    if (request_.empty()) return CheckResult::kGood;
    phase_ = Phase::kSending;
  }
  if (phase_ == Phase::kSending)
    if (auto result = send_request()) return result;
  if (phase_ == Phase::kReading) return read_response();
  return std::nullopt;
}

std::optional<CheckResult> CheckConnection::send_request() {
  while (!request_.empty()) {
    ssize_t n = ::send(fd_.get(), request_.data(), request_.size(), MSG_NOSIGNAL);
    if (n < 0 && again(errno)) return std::nullopt;
    if (n < 0) return CheckResult::kRefused;
    request_.erase(0, static_cast<size_t>(n));
  }
  phase_ = Phase::kReading;
  return std::nullopt;
}

std::optional<CheckResult> CheckConnection::read_response() {
  char buffer[4096];
  for (;;) {
    ssize_t n = ::recv(fd_.get(), buffer, sizeof buffer, 0);
    if (n < 0 && again(errno)) return std::nullopt;
    if (n <= 0) return CheckResult::kRefused;  // closed or reset before the head was complete
    received_.append(buffer, static_cast<size_t>(n));
    for (HeadResult head = read_response_head(received_); head.state != HeadResult::kIncomplete;
         head = read_response_head(received_)) {
      if (head.state == HeadResult::kMalformed) return CheckResult::kRefused;
      // Interim responses come before the one that counts (RFC 9110 section 15.2); 101 is final here.
      if (head.status >= 200 || head.status == 101)
        return head.status >= 200 && head.status < 400 ? CheckResult::kGood : CheckResult::kRefused;
      received_.erase(0, head.size);
    }
  }
}

}  // namespace fairlead::lb
