// UDP packets from one container to another as fast as they go, a window of 64 at a time so that none is lost.
//   bench_packets sink PORT                          answers every 64th packet; says "ready", ends when killed
//   bench_packets send ADDRESS PORT BYTES WINDOWS    prints microseconds a packet
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int kWindow = 64;
constexpr size_t kMaxBytes = 65507;

int failed(const char* what) {
  std::perror(what);
  return 1;
}

sockaddr_in address(const char* text, const char* port) {
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(static_cast<uint16_t>(std::atoi(port)));
  inet_pton(AF_INET, text, &where.sin_addr);
  return where;
}

int sink(int socket, const char* port) {
  const sockaddr_in here = address("0.0.0.0", port);
  if (bind(socket, reinterpret_cast<const sockaddr*>(&here), sizeof here) != 0) return failed("bind");
  std::puts("ready");
  std::fflush(stdout);
  static std::array<char, kMaxBytes> data;
  for (unsigned count = 1;; count++) {
    sockaddr_in from{};
    socklen_t size = sizeof from;
    if (recvfrom(socket, data.data(), data.size(), 0, reinterpret_cast<sockaddr*>(&from), &size) < 0)
      return failed("recvfrom");
    if (count % kWindow == 0) sendto(socket, "!", 1, 0, reinterpret_cast<sockaddr*>(&from), size);
  }
}

int send_all(int socket, const char* to, const char* port, size_t bytes, int windows) {
  const sockaddr_in there = address(to, port);
  if (connect(socket, reinterpret_cast<const sockaddr*>(&there), sizeof there) != 0) return failed("connect");
  const timeval patience{5, 0};
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  static std::array<char, kMaxBytes> data{};
  std::array<iovec, kWindow> parts;
  std::array<mmsghdr, kWindow> packets{};
  for (int i = 0; i < kWindow; i++) {
    parts[i] = {data.data(), bytes};
    packets[i].msg_hdr.msg_iov = &parts[i];
    packets[i].msg_hdr.msg_iovlen = 1;
  }
  const auto start = std::chrono::steady_clock::now();
  for (int window = 0; window < windows; window++) {
    for (int sent = 0; sent < kWindow;) {
      const int more = sendmmsg(socket, &packets[sent], kWindow - sent, 0);
      if (more < 0) return failed("sendmmsg");
      sent += more;
    }
    char answer;
    if (recv(socket, &answer, 1, 0) < 0) return failed("a packet was lost");
  }
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
  std::printf("%.4f\n", took.count() / windows / kWindow);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const int socket = ::socket(AF_INET, SOCK_DGRAM, 0);
  if (argc == 3 && std::strcmp(argv[1], "sink") == 0) return sink(socket, argv[2]);
  if (argc == 6 && std::strcmp(argv[1], "send") == 0) {
    const auto bytes = static_cast<size_t>(std::atoi(argv[4]));
    if (bytes <= kMaxBytes) return send_all(socket, argv[2], argv[3], bytes, std::atoi(argv[5]));
  }
  std::fprintf(stderr, "usage: bench_packets sink PORT | send ADDRESS PORT BYTES WINDOWS\n");
  return 2;
}
