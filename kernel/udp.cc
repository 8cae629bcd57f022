#include "kernel/udp.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <string>

namespace fairlead::kernel {
namespace {

struct Place {
  sockaddr_storage storage{};
  socklen_t size = 0;
  Place(const Address& address, uint16_t port) {
    if (address.is_v4()) {
      sockaddr_in v4{};
      v4.sin_family = AF_INET;
      v4.sin_port = htons(port);
      memcpy(&v4.sin_addr, address.bytes(), address.size());
      memcpy(&storage, &v4, size = sizeof v4);
    } else {
      sockaddr_in6 v6{};
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(port);
      memcpy(&v6.sin6_addr, address.bytes(), address.size());
      memcpy(&storage, &v6, size = sizeof v6);
    }
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

std::string text_of(const Address& address, uint16_t port) {
  return address.to_string() + " UDP port " + std::to_string(port);
}

}  // namespace

Result<Fd> open_udp(const Address& address, uint16_t port) {
  Fd fd(::socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("make", "UDP socket");
  const int on = 1;
  if (address.is_v6() && ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0)
    return fail_errno("set", "IPV6_V6ONLY");
  const Place place(address, port);
  if (::bind(fd.get(), place.get(), place.size) != 0) return fail_errno("bind to", text_of(address, port));
  return fd;
}

Result<void> send_udp(const Fd& socket, const Address& to, uint16_t port, std::string_view payload) {
  const Place place(to, port);
  if (::sendto(socket.get(), payload.data(), payload.size(), 0, place.get(), place.size) < 0)
    return fail_errno("send to", text_of(to, port));
  return {};
}

}  // namespace fairlead::kernel
