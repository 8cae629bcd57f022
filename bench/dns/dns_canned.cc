// The floor of a DNS server: recvmmsg(2), one canned answer whatever the question, sendmmsg(2). It looks at nothing but
// where the question ends, keeps no state and handles no error; no server that looks at names can be cheaper.
//   dns_canned ADDRESS PORT [THREADS]
#include <arpa/inet.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

namespace {

constexpr unsigned kBatch = 64;
constexpr size_t kMessage = 2048;
constexpr uint8_t kRecord[] = {0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 192, 0, 2, 7};

int open_socket(const char* address, uint16_t port) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(port);
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), one = 1, buffer = 1 << 20;
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  if (fd < 0 || inet_pton(AF_INET, address, &name.sin_addr) != 1 ||
      bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof name) != 0) {
    perror("dns_canned: bind");
    exit(1);
  }
  return fd;
}

// In place: flags, one answer behind the question, nothing else. The length, or 0.
size_t answer(uint8_t* message, size_t size) {
  size_t at = 12;
  while (at < size && message[at] != 0) at += 1u + message[at];
  at += 5;
  if (at > size || at + sizeof kRecord > kMessage) return 0;
  message[2] = 0x85;
  message[3] = 0x80;
  message[7] = 1;
  message[11] = 0;
  memcpy(message + at, kRecord, sizeof kRecord);
  return at + sizeof kRecord;
}

void serve(int fd) {
  struct Slot {
    sockaddr_in peer;
    uint8_t message[kMessage];
    iovec vector;
  };
  auto slots = std::make_unique<Slot[]>(kBatch);
  mmsghdr messages[kBatch] = {};
  for (unsigned i = 0; i < kBatch; i++) {
    slots[i].vector = {slots[i].message, kMessage};
    messages[i].msg_hdr.msg_name = &slots[i].peer;
    messages[i].msg_hdr.msg_namelen = sizeof slots[i].peer;
    messages[i].msg_hdr.msg_iov = &slots[i].vector;
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  for (;;) {
    int n = recvmmsg(fd, messages, kBatch, MSG_WAITFORONE, nullptr);
    if (n <= 0) continue;
    for (int i = 0; i < n; i++) slots[i].vector.iov_len = answer(slots[i].message, messages[i].msg_len);
    sendmmsg(fd, messages, static_cast<unsigned>(n), 0);
    for (int i = 0; i < n; i++) slots[i].vector.iov_len = kMessage;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fputs("usage: dns_canned ADDRESS PORT [THREADS]\n", stderr);
    return 2;
  }
  int threads = argc > 3 ? atoi(argv[3]) : 1;
  std::vector<std::thread> pool;
  for (int i = 0; i < threads; i++) {
    int fd = open_socket(argv[1], static_cast<uint16_t>(atoi(argv[2])));
    pool.emplace_back([fd] { serve(fd); });
  }
  puts("ready");
  fflush(stdout);
  for (auto& thread : pool) thread.join();
}
