#include "cluster/preflight_probe.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/filter.h>
#include <linux/in6.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

namespace fairlead::cluster {
namespace {

constexpr uint32_t kProbeSpi = 251;  // never an association's; see the header
constexpr size_t kUdpHeader = 8, kIp4Header = 20, kIp6Header = 40;
constexpr size_t kEspLike = 8;  // SPI and sequence number before the marker
constexpr int kReceiveBuffer = 4 << 20, kSizesAtOnce = 16, kPauseMs = 2;

union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

socklen_t fill(SocketAddress& to, const Address& address, uint16_t port) {
  to = {};
  if (address.is_v4()) {
    to.v4.sin_family = AF_INET;
    to.v4.sin_port = htons(port);
    memcpy(&to.v4.sin_addr, address.bytes(), 4);
    return sizeof to.v4;
  }
  to.v6.sin6_family = AF_INET6;
  to.v6.sin6_port = htons(port);
  memcpy(&to.v6.sin6_addr, address.bytes(), 16);
  return sizeof to.v6;
}

// Begins with bytes 4 to 6 of a VXLAN header that name no network (host_rules.cc would drop one of ours).
std::string payload(const std::string& marker) {
  std::string bytes(kEspLike, '\0');
  const uint32_t spi = htonl(kProbeSpi);
  memcpy(bytes.data(), &spi, sizeof spi);
  return bytes + marker;
}

// Packets whose marker is this one. An IPv4 raw socket sees the IP header, an IPv6 one does not.
Result<void> filter_marker(const Fd& socket, bool v4, size_t header, const std::string& marker) {
  std::vector<sock_filter> code;
  code.push_back(v4 ? sock_filter BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0) : sock_filter BPF_STMT(BPF_LDX | BPF_IMM, 0));
  for (size_t word = 0; word < kMarkerBytes / 4; word++) {
    uint32_t value = 0;
    memcpy(&value, marker.data() + 4 * word, sizeof value);
    code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_IND, static_cast<uint32_t>(header + kEspLike + 4 * word)));
    const auto others = static_cast<uint8_t>(2 * (kMarkerBytes / 4 - word) - 1);
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohl(value), 0, others));
  }
  code.push_back(BPF_STMT(BPF_RET | BPF_K, UINT32_MAX));
  code.push_back(BPF_STMT(BPF_RET | BPF_K, 0));
  sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0)
    return fail_errno("filter", "raw socket");
  return {};
}

// IP packets leave as they are or not at all, whatever is known of the way (ip(7): IP_PMTUDISC_PROBE).
void never_fragment(const Fd& socket, bool v4) {
  constexpr int probe = IP_PMTUDISC_PROBE;
  static_assert(probe == IPV6_PMTUDISC_PROBE);
  (void)::setsockopt(socket.get(), v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, &probe,
                     sizeof probe);
}

Address address_of(const sockaddr* address) {
  if (!address) return {};
  if (address->sa_family == AF_INET)
    return Address::from_bytes(AF_INET, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr);
  if (address->sa_family == AF_INET6)
    return Address::from_bytes(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr);
  return {};
}

Result<uint32_t> mtu_of(const Address& own, const Fd& socket) {
  ifaddrs* found = nullptr;
  if (::getifaddrs(&found) != 0) return fail_errno("list", "addresses");
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> all(found, ::freeifaddrs);
  for (const ifaddrs* one = all.get(); one; one = one->ifa_next) {
    if (address_of(one->ifa_addr) != own) continue;
    ifreq request{};
    strncpy(request.ifr_name, one->ifa_name, IFNAMSIZ - 1);
    if (::ioctl(socket.get(), SIOCGIFMTU, &request) != 0) return fail_errno("look up the MTU of", one->ifa_name);
    return std::clamp<uint32_t>(static_cast<uint32_t>(request.ifr_mtu), kSmallestMtu, kLargestMtu);
  }
  return fail("no link of this node has its address " + own.to_string(), EADDRNOTAVAIL);
}

}  // namespace

uint32_t PreflightProbe::Heard::largest() const {
  uint32_t size = 0;
  for (const auto& [port, one] : udp) size = std::max(size, one);
  return size;
}

std::vector<uint32_t> sizes_below(uint32_t mtu) {
  std::vector<uint32_t> sizes;
  for (uint32_t size = kSmallestMtu; size < mtu; size += size < 1500 ? 4 : 100) sizes.push_back(size);
  return sizes;
}

Result<Fd> PreflightProbe::open_raw(int protocol) const {
  Fd fd(::socket(own_.family(), SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  if (!fd) return fail_errno("open", "raw socket");
  FL_CHECK(filter_marker(fd, own_.is_v4(), protocol == IPPROTO_UDP ? kUdpHeader : 0, marker_));
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof kReceiveBuffer) != 0)
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof kReceiveBuffer);
  never_fragment(fd, own_.is_v4());
  SocketAddress own, peer;
  if (::bind(fd.get(), &own.any, fill(own, own_, 0)) != 0) return fail_errno("listen on", own_.to_string());
  if (::connect(fd.get(), &peer.any, fill(peer, peer_, 0)) != 0) return fail_errno("find a way to", peer_.to_string());
  return fd;
}

Result<PreflightProbe> PreflightProbe::open(const Address& own, const Address& peer, const std::string& marker) {
  if (own.family() != peer.family() || marker.size() != kMarkerBytes)
    return fail("preflight: two addresses of one family and a marker are needed", EINVAL);
  PreflightProbe probe(own, peer, marker);
  FL_TRY(probe.udp_, probe.open_raw(IPPROTO_UDP));
  FL_TRY(probe.esp_, probe.open_raw(IPPROTO_ESP));
  probe.sender_ = Fd(::socket(own.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!probe.sender_) return fail_errno("open", "socket");
  never_fragment(probe.sender_, own.is_v4());
  SocketAddress from;
  if (::bind(probe.sender_.get(), &from.any, fill(from, own, 0)) != 0) return fail_errno("send from", own.to_string());
  FL_TRY(probe.mtu_, mtu_of(own, probe.sender_));
  return probe;
}

uint32_t PreflightProbe::told() const {
  Fd fd(::socket(own_.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  SocketAddress own, peer;
  int mtu = 0;
  socklen_t size = sizeof mtu;
  if (!fd || ::bind(fd.get(), &own.any, fill(own, own_, 0)) != 0 ||
      ::connect(fd.get(), &peer.any, fill(peer, peer_, 9)) != 0 ||
      ::getsockopt(fd.get(), own_.is_v4() ? IPPROTO_IP : IPPROTO_IPV6, own_.is_v4() ? IP_MTU : IPV6_MTU, &mtu, &size))
    return 0;
  return static_cast<uint32_t>(std::max(mtu, 0));
}

void PreflightProbe::send_udp(uint16_t port, const std::string& marker, uint32_t size) {
  std::string bytes = payload(marker);
  const size_t headers = (own_.is_v4() ? kIp4Header : kIp6Header) + kUdpHeader;
  if (size > headers + bytes.size()) bytes.resize(size - headers);
  SocketAddress to;
  const socklen_t length = fill(to, peer_, port);
  (void)::sendto(sender_.get(), bytes.data(), bytes.size(), 0, &to.any, length);
}

void PreflightProbe::send_round(const std::vector<uint16_t>& ports, const std::string& marker) {
  const std::string bytes = payload(marker);
  (void)::send(esp_.get(), bytes.data(), bytes.size(), 0);
  for (uint16_t port : ports) {
    send_udp(port, marker, 0);
    send_udp(port, marker, mtu_);
  }
}

void PreflightProbe::send_sizes(uint16_t port, const std::string& marker, const StopSignal& stop) {
  int sent = 0;
  for (uint32_t size : sizes_below(mtu_)) {
    for (int twice = 0; twice < 2; twice++) send_udp(port, marker, size);
    if (++sent % kSizesAtOnce == 0) listen(kPauseMs, stop, [](const Heard&) { return false; });
  }
}

void PreflightProbe::take(const std::string& packet, bool esp) {
  size_t at = 0;
  if (own_.is_v4() && !packet.empty()) at = static_cast<size_t>(packet[0] & 0x0f) * 4;
  const size_t marked = at + (esp ? 0 : kUdpHeader) + kEspLike;
  if (packet.size() < marked + kMarkerBytes || packet.compare(marked, kMarkerBytes, marker_) != 0) return;
  if (esp) {
    heard_.esp = true;
    return;
  }
  const auto port =
      static_cast<uint16_t>(static_cast<uint8_t>(packet[at + 2]) << 8 | static_cast<uint8_t>(packet[at + 3]));
  const auto size = static_cast<uint32_t>(packet.size() + (own_.is_v4() ? 0 : kIp6Header));
  uint32_t& largest = heard_.udp[port];
  largest = std::max(largest, size);
}

void PreflightProbe::drain(const Fd& socket, bool esp) {
  std::string packet(kLargestMtu + 1, '\0');
  // An ICMP error is reported once, by a failed call; what comes after it counts all the same.
  for (int errors = 0; errors < 64;) {
    ssize_t n = ::recv(socket.get(), packet.data(), packet.size(), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EBADF)) return;
    if (n < 0)
      errors++;
    else
      take(packet.substr(0, static_cast<size_t>(n)), esp);
  }
}

void PreflightProbe::listen(int ms, const StopSignal& stop, const std::function<bool(const Heard&)>& enough) {
  const int64_t deadline = now_ms() + ms;
  for (;;) {
    drain(udp_, false);
    drain(esp_, true);
    const int64_t left = deadline - now_ms();
    if (enough(heard_) || left <= 0) return;
    pollfd fds[] = {{udp_.get(), POLLIN, 0}, {esp_.get(), POLLIN, 0}, {stop.fd(), POLLIN, 0}};
    if (::poll(fds, 3, static_cast<int>(left)) > 0 && fds[2].revents) return;
  }
}

}  // namespace fairlead::cluster
