// Netlink requests with nothing around them: one static buffer, one sendmsg, one answer. Only for the floor program,
// which shows what the kernel's own share of attaching a container costs; the product uses kernel/netlink.h.
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

namespace floor_bench {

struct Requests {
  alignas(4) char data[4096];
  size_t used = 0;
  nlmsghdr* last = nullptr;
};

inline void* grow(Requests* r, size_t size) {
  void* at = r->data + r->used;
  size_t room = NLMSG_ALIGN(size);
  memset(at, 0, room);
  r->used += room;
  return at;
}

// Starts a request with its family header; the pointer is good until the next call.
template <class Header>
Header* request(Requests* r, int type, int flags) {
  r->last = static_cast<nlmsghdr*>(grow(r, sizeof(nlmsghdr)));
  r->last->nlmsg_type = static_cast<uint16_t>(type);
  r->last->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  return static_cast<Header*>(grow(r, sizeof(Header)));
}

inline rtattr* attribute(Requests* r, int type, const void* value, size_t size) {
  auto* a = static_cast<rtattr*>(grow(r, RTA_LENGTH(size)));
  a->rta_type = static_cast<uint16_t>(type);
  a->rta_len = static_cast<uint16_t>(RTA_LENGTH(size));
  if (size) memcpy(RTA_DATA(a), value, size);
  return a;
}
inline void attribute_u32(Requests* r, int type, uint32_t value) { attribute(r, type, &value, sizeof value); }
inline void attribute_text(Requests* r, int type, const char* text) { attribute(r, type, text, strlen(text) + 1); }
inline rtattr* nest(Requests* r, int type) { return attribute(r, type | NLA_F_NESTED, nullptr, 0); }
inline void close_nest(Requests* r, rtattr* a) {
  a->rta_len = static_cast<uint16_t>(r->data + r->used - reinterpret_cast<char*>(a));
}
inline void close_request(Requests* r) {
  r->last->nlmsg_len = static_cast<uint32_t>(r->data + r->used - reinterpret_cast<char*>(r->last));
}

// Sends all requests at once. Only the last one asks to be acknowledged; the kernel reports a failed one anyway, and
// answers in order, so the first answer says whether everything worked. Returns 0 or an errno.
inline int run(Requests* r) {
  r->last->nlmsg_flags |= NLM_F_ACK;
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return errno;
  if (send(fd, r->data, r->used, 0) != static_cast<ssize_t>(r->used)) return errno;
  alignas(4) char answer[1024];
  ssize_t size = recv(fd, answer, sizeof answer, 0);
  close(fd);
  if (size < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(nlmsgerr)))) return EIO;
  auto* error = static_cast<nlmsgerr*>(NLMSG_DATA(reinterpret_cast<nlmsghdr*>(answer)));
  return -error->error;
}

}  // namespace floor_bench
