// Netlink requests in batches, with the kernel's own words (extended acknowledgement) in every error.
//
// A Batch is many requests sent with one sendmsg; failures are answered one by one, success once at the end. The kernel
// runs them in order and does not stop at a failure, so a caller says per request which errno it can live with.
// Threads: a socket belongs to one thread at a time. It stays in the namespace it was opened in.
// Cost: opening about 4 µs; a batch is 1 + ceil(answers/32 KiB) system calls.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

struct nl_msg;

namespace fairlead::kernel {

// One request being built: header, family header, attributes (libnl's nla_* builders below).
class Message {
 public:
  // what: used in errors, e.g. "add route 10.0.0.5/32".
  Message(uint16_t type, uint16_t flags, std::string what);
  Message(Message&&) noexcept;
  Message& operator=(Message&&) noexcept;
  ~Message();

  template <class T>
  Message& header(const T& value) {
    return append(&value, sizeof value);
  }
  Message& append(const void* data, size_t size);
  Message& put(uint16_t type, const void* data, size_t size);
  Message& put_string(uint16_t type, std::string_view text);  // with its NUL
  Message& put_u8(uint16_t type, uint8_t v) { return put(type, &v, sizeof v); }
  Message& put_u16(uint16_t type, uint16_t v) { return put(type, &v, sizeof v); }
  Message& put_u32(uint16_t type, uint32_t v) { return put(type, &v, sizeof v); }
  Message& put_flag(uint16_t type) { return put(type, nullptr, 0); }
  Message& nest(uint16_t type, const std::function<void(Message&)>& inside);
  // Carries a key: the message is zeroed when it ends.
  Message& secret();
  // errno values that count as success for this request ("already there", "not there").
  Message& tolerate(std::initializer_list<int> errnos);

  const std::string& what() const { return what_; }
  nl_msg* raw() const { return message_; }
  bool tolerates(int sys) const;

 private:
  nl_msg* message_ = nullptr;
  std::string what_;
  std::vector<int> tolerated_;
  bool secret_ = false;
};

using Batch = std::vector<Message>;

class NetlinkSocket {
 public:
  // Opened in the calling thread's network namespace. protocol: NETLINK_ROUTE, NETLINK_GENERIC, NETLINK_NETFILTER ...
  // What passes a socket of NETLINK_XFRM or NETLINK_GENERIC may hold keys (IPsec, WireGuard): its buffers are zeroed.
  static Result<NetlinkSocket> open(int protocol);

  // All requests are sent whatever happens to single ones. The first error that is not tolerated is returned
  // ("add route 10.0.0.5/32: Network is unreachable (Nexthop has invalid gateway)"); its sys is the errno.
  Result<void> run(Batch batch);
  // As run, but tells the errno of each request (0: done), in order. Only a broken socket is an Error.
  Result<std::vector<int>> run_each(Batch batch, std::vector<std::string>* texts = nullptr);
  // A dump (NLM_F_DUMP is added). Interrupted dumps (NLM_F_DUMP_INTR) are repeated, at most five times; `each` may
  // then see entries again, after begin() was called again.
  Result<void> dump(
      Message request, const std::function<void(const nlmsghdr&)>& each, const std::function<void()>& begin = [] {});
  // One request with one answer (e.g. RTM_GETLINK by name, CTRL_CMD_GETFAMILY).
  Result<void> query(Message request, const std::function<void(const nlmsghdr&)>& each);
  // Joins a multicast group; events are then read with receive().
  Result<void> join(unsigned group);
  Result<void> receive(const std::function<void(const nlmsghdr&)>& each);  // drains without blocking
  int fd() const { return fd_.get(); }

 private:
  NetlinkSocket(Fd fd, bool secret) : fd_(std::move(fd)), secret_(secret) {}
  Result<void> send(const Batch& batch, uint32_t first_sequence);
  Result<bool> read_answers(int flags, const std::function<bool(const nlmsghdr&)>& each);
  Fd fd_;
  bool secret_;  // keys pass: buffers are zeroed after use
  uint32_t sequence_ = 1;
};

// The attributes of a message or of a nest, by type; nullptr where absent. Unknown types are passed over.
class Attributes {
 public:
  Attributes(const nlmsghdr& message, size_t family_header_size);
  Attributes(const void* data, size_t size);
  bool has(uint16_t type) const { return find(type) != nullptr; }
  std::string_view bytes(uint16_t type) const;  // empty when absent
  std::string text(uint16_t type) const;
  uint8_t u8(uint16_t type, uint8_t fallback = 0) const;
  uint16_t u16(uint16_t type, uint16_t fallback = 0) const;
  uint32_t u32(uint16_t type, uint32_t fallback = 0) const;
  uint64_t u64(uint16_t type, uint64_t fallback = 0) const;
  Attributes nested(uint16_t type) const;
  // Every attribute in order (for lists).
  void each(const std::function<void(uint16_t, std::string_view)>& f) const;

 private:
  const char* find(uint16_t type) const;
  const char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace fairlead::kernel
