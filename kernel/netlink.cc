#include "kernel/netlink.h"

#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>

namespace fairlead::kernel {
namespace {

// The kernel packs answers of a dump into what the reader offers, at most 32 KiB (netlink_dump, af_netlink.c).
constexpr size_t kReceiveBytes = 32768;
constexpr int kDumpTries = 5;
// libnl's own choice is a page, touched in full for each of the dozen requests of an ADD.
constexpr size_t kMaxRequest = 1024;

// The text of an extended acknowledgement, "" when the kernel sent none (NLMSGERR_ATTR_MSG, linux/netlink.h).
std::string extended_text(const nlmsghdr& header) {
  if (!(header.nlmsg_flags & NLM_F_ACK_TLVS)) return "";
  const auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(&header));
  size_t offset = sizeof(nlmsgerr);
  // Without NLM_F_CAPPED the request's payload is repeated before the attributes.
  if (!(header.nlmsg_flags & NLM_F_CAPPED) && error->error != 0)
    offset += NLMSG_ALIGN(error->msg.nlmsg_len) - sizeof(nlmsghdr);
  if (header.nlmsg_len < NLMSG_HDRLEN + offset) return "";
  Attributes attributes(static_cast<const char*>(NLMSG_DATA(&header)) + offset,
                        header.nlmsg_len - NLMSG_HDRLEN - offset);
  return attributes.text(NLMSGERR_ATTR_MSG);
}

std::string error_text(const std::string& what, int sys, const std::string& extended) {
  std::string text = what + ": " + strerror(sys);
  if (!extended.empty()) text += " (" + extended + ")";
  return text;
}

}  // namespace

Message::Message(uint16_t type, uint16_t flags, std::string what) : what_(std::move(what)) {
  message_ = nlmsg_alloc_size(kMaxRequest);
  if (!message_ || !nlmsg_put(message_, 0, 0, type, 0, flags)) std::abort();  // out of memory, as bad_alloc
}
Message::Message(Message&& other) noexcept
    : message_(std::exchange(other.message_, nullptr)),
      what_(std::move(other.what_)),
      tolerated_(std::move(other.tolerated_)),
      secret_(other.secret_) {}
Message& Message::operator=(Message&& other) noexcept {
  std::swap(message_, other.message_);
  what_.swap(other.what_);
  tolerated_.swap(other.tolerated_);
  std::swap(secret_, other.secret_);
  return *this;
}
Message::~Message() {
  if (secret_ && message_) explicit_bzero(nlmsg_hdr(message_), kMaxRequest);
  nlmsg_free(message_);
}
Message& Message::secret() {
  secret_ = true;
  return *this;
}

Message& Message::append(const void* data, size_t size) {
  if (nlmsg_append(message_, const_cast<void*>(data), size, NLMSG_ALIGNTO) < 0) std::abort();
  return *this;
}
Message& Message::put(uint16_t type, const void* data, size_t size) {
  // kMaxRequest holds any request of ours; more would be a mistake in the program, not of its input.
  if (nla_put(message_, type, static_cast<int>(size), data) < 0) std::abort();
  return *this;
}
Message& Message::put_string(uint16_t type, std::string_view text) {
  std::string copy(text);
  return put(type, copy.c_str(), copy.size() + 1);
}
Message& Message::nest(uint16_t type, const std::function<void(Message&)>& inside) {
  nlattr* start = nla_nest_start(message_, type);
  if (!start) std::abort();
  inside(*this);
  nla_nest_end(message_, start);
  return *this;
}
Message& Message::tolerate(std::initializer_list<int> errnos) {
  tolerated_.insert(tolerated_.end(), errnos);
  return *this;
}
bool Message::tolerates(int sys) const {
  return std::find(tolerated_.begin(), tolerated_.end(), sys) != tolerated_.end();
}

Result<NetlinkSocket> NetlinkSocket::open(int protocol) {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd) return fail_errno("open", "netlink socket");
  int on = 1;
  // Both fail harmlessly on old kernels: messages get longer, texts shorter.
  ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
  // Acknowledgements of a whole batch wait in the receive buffer.
  int bytes = 1 << 20;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return fail_errno("bind", "netlink socket");
  return NetlinkSocket(std::move(fd), protocol == NETLINK_XFRM || protocol == NETLINK_GENERIC);
}

Result<void> NetlinkSocket::send(const Batch& batch, uint32_t first_sequence) {
  std::string buffer;
  size_t bytes = 0;
  for (const auto& message : batch) bytes += NLMSG_ALIGN(nlmsg_hdr(message.raw())->nlmsg_len);
  buffer.reserve(bytes);  // growing would leave pieces behind
  for (size_t i = 0; i < batch.size(); i++) {
    nlmsghdr* header = nlmsg_hdr(batch[i].raw());
    header->nlmsg_seq = first_sequence + static_cast<uint32_t>(i);
    header->nlmsg_pid = 0;
    header->nlmsg_flags |= NLM_F_REQUEST;
    // The kernel works through the batch in order and reports failures unasked, so the last acknowledgement says that
    // all are done. NLM_F_DUMP is two bits; each alone means something else (NLM_F_REPLACE, NLM_F_EXCL).
    if (i + 1 == batch.size() && (header->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP) header->nlmsg_flags |= NLM_F_ACK;
    buffer.append(reinterpret_cast<const char*>(header), header->nlmsg_len);
    buffer.append(NLMSG_ALIGN(header->nlmsg_len) - header->nlmsg_len, '\0');
  }
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  ssize_t n;
  do {
    n = ::sendto(fd_.get(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&kernel), sizeof kernel);
  } while (n < 0 && errno == EINTR);
  const int sys = errno;
  if (secret_) explicit_bzero(buffer.data(), buffer.size());
  if (n < 0) return fail_errno("send to", "netlink", sys);
  return {};
}

namespace {

// Zeroes what was received when it goes out of scope.
struct Wiped {
  char* data;
  ssize_t size = 0;  // 0: nothing to do
  ~Wiped() {
    if (size > 0) explicit_bzero(data, std::min(static_cast<size_t>(size), kReceiveBytes));
  }
};

}  // namespace

// One datagram of answers; the callback returns false to stop reading.
Result<bool> NetlinkSocket::read_answers(int flags, const std::function<bool(const nlmsghdr&)>& each) {
  alignas(nlmsghdr) std::array<char, kReceiveBytes> buffer;
  Wiped wiped{buffer.data()};
  ssize_t n;
  do {
    n = ::recv(fd_.get(), buffer.data(), buffer.size(), flags | MSG_TRUNC);
  } while (n < 0 && errno == EINTR);
  if (secret_) wiped.size = n;
  if (n < 0 && errno == EAGAIN) return false;
  if (n < 0) return fail_errno("read from", "netlink");
  if (static_cast<size_t>(n) > buffer.size())
    return fail("read from netlink: an answer of " + std::to_string(n) + " bytes");
  int rest = static_cast<int>(n);
  for (auto* header = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(header, static_cast<unsigned>(rest));
       header = NLMSG_NEXT(header, rest))
    if (!each(*header)) return false;
  return true;
}

Result<std::vector<int>> NetlinkSocket::run_each(Batch batch, std::vector<std::string>* texts) {
  std::vector<int> results(batch.size(), 0);
  if (texts) texts->assign(batch.size(), "");
  // Several at a time so that reports of failures (about 60 to 200 bytes each) never overrun the receive buffer.
  constexpr size_t kWindow = 256;
  for (size_t begin = 0; begin < batch.size(); begin += kWindow) {
    size_t end = std::min(begin + kWindow, batch.size());
    Batch part;
    std::move(batch.begin() + static_cast<long>(begin), batch.begin() + static_cast<long>(end),
              std::back_inserter(part));
    uint32_t first = sequence_;
    sequence_ += static_cast<uint32_t>(part.size());
    FL_CHECK(send(part, first));
    for (bool open = true; open;) {
      FL_TRY(bool more, read_answers(0, [&](const nlmsghdr& header) {
               uint32_t index = header.nlmsg_seq - first;
               if (header.nlmsg_type != NLMSG_ERROR || index >= part.size()) return true;
               int sys = -static_cast<const nlmsgerr*>(NLMSG_DATA(&header))->error;
               results[begin + index] = sys;
               if (texts && sys) (*texts)[begin + index] = error_text(part[index].what(), sys, extended_text(header));
               if (index + 1 == part.size()) open = false;
               return true;
             }));
      (void)more;
    }
    std::move(part.begin(), part.end(), batch.begin() + static_cast<long>(begin));
  }
  for (size_t i = 0; i < batch.size(); i++)
    if (results[i] && batch[i].tolerates(results[i])) results[i] = 0;
  return results;
}

Result<void> NetlinkSocket::run(Batch batch) {
  std::vector<std::string> texts;
  FL_TRY(auto results, run_each(std::move(batch), &texts));
  for (size_t i = 0; i < results.size(); i++)
    if (results[i]) return fail(texts[i], results[i]);
  return {};
}

Result<void> NetlinkSocket::dump(Message request, const std::function<void(const nlmsghdr&)>& each,
                                 const std::function<void()>& begin) {
  nlmsg_hdr(request.raw())->nlmsg_flags |= NLM_F_DUMP;
  std::string what = request.what();
  Batch batch;
  batch.push_back(std::move(request));
  for (int attempt = 0; attempt < kDumpTries; attempt++) {
    begin();
    uint32_t sequence = sequence_++;
    FL_CHECK(send(batch, sequence));
    bool done = false, interrupted = false;
    std::optional<Error> error;
    while (!done) {
      FL_TRY(bool more, read_answers(0, [&](const nlmsghdr& header) {
               if (header.nlmsg_seq != sequence) return true;
               if (header.nlmsg_flags & NLM_F_DUMP_INTR) interrupted = true;
               if (header.nlmsg_type == NLMSG_DONE) {
                 done = true;
               } else if (header.nlmsg_type == NLMSG_ERROR) {
                 int sys = -static_cast<const nlmsgerr*>(NLMSG_DATA(&header))->error;
                 done = true;
                 if (sys) error = Error{error_text(what, sys, extended_text(header)), sys};
               } else {
                 each(header);
               }
               return true;
             }));
      (void)more;
    }
    if (error) return fail(*error);
    if (!interrupted) return {};
  }
  return fail(what + ": the kernel's table kept changing while it was read", EAGAIN);
}

Result<void> NetlinkSocket::query(Message request, const std::function<void(const nlmsghdr&)>& each) {
  std::string what = request.what();
  Batch batch;
  batch.push_back(std::move(request));
  uint32_t sequence = sequence_++;
  FL_CHECK(send(batch, sequence));
  std::optional<Error> error;
  for (bool done = false; !done;) {
    FL_TRY(bool more, read_answers(0, [&](const nlmsghdr& header) {
             if (header.nlmsg_seq != sequence) return true;
             if (header.nlmsg_type != NLMSG_ERROR) {
               each(header);
               return true;
             }
             int sys = -static_cast<const nlmsgerr*>(NLMSG_DATA(&header))->error;
             if (sys) error = Error{error_text(what, sys, extended_text(header)), sys};
             done = true;
             return true;
           }));
    (void)more;
  }
  if (error) return fail(*error);
  return {};
}

Result<void> NetlinkSocket::join(unsigned group) {
  if (::setsockopt(fd_.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
    return fail_errno("join netlink group", std::to_string(group));
  return {};
}

Result<void> NetlinkSocket::receive(const std::function<void(const nlmsghdr&)>& each) {
  for (;;) {
    FL_TRY(bool more, read_answers(MSG_DONTWAIT, [&](const nlmsghdr& header) {
             each(header);
             return true;
           }));
    if (!more) return {};
  }
}

Attributes::Attributes(const void* data, size_t size) : data_(static_cast<const char*>(data)), size_(size) {}
Attributes::Attributes(const nlmsghdr& message, size_t family_header_size) {
  size_t skip = NLMSG_HDRLEN + NLMSG_ALIGN(family_header_size);
  if (message.nlmsg_len <= skip) return;
  data_ = reinterpret_cast<const char*>(&message) + skip;
  size_ = message.nlmsg_len - skip;
}

void Attributes::each(const std::function<void(uint16_t, std::string_view)>& f) const {
  for (size_t at = 0; at + sizeof(nlattr) <= size_;) {
    nlattr head;
    memcpy(&head, data_ + at, sizeof head);
    if (head.nla_len < sizeof head || at + head.nla_len > size_) return;
    f(head.nla_type & NLA_TYPE_MASK, {data_ + at + NLA_HDRLEN, head.nla_len - static_cast<size_t>(NLA_HDRLEN)});
    at += NLA_ALIGN(head.nla_len);
  }
}

const char* Attributes::find(uint16_t type) const {
  for (size_t at = 0; at + sizeof(nlattr) <= size_;) {
    nlattr head;
    memcpy(&head, data_ + at, sizeof head);
    if (head.nla_len < sizeof head || at + head.nla_len > size_) return nullptr;
    if ((head.nla_type & NLA_TYPE_MASK) == type) return data_ + at;
    at += NLA_ALIGN(head.nla_len);
  }
  return nullptr;
}

std::string_view Attributes::bytes(uint16_t type) const {
  const char* at = find(type);
  if (!at) return {};
  nlattr head;
  memcpy(&head, at, sizeof head);
  return {at + NLA_HDRLEN, head.nla_len - static_cast<size_t>(NLA_HDRLEN)};
}
std::string Attributes::text(uint16_t type) const {
  auto b = bytes(type);
  return std::string(b.substr(0, b.find('\0')));
}

namespace {
template <class T>
T number(std::string_view bytes, T fallback) {
  if (bytes.size() < sizeof(T)) return fallback;
  T value;
  memcpy(&value, bytes.data(), sizeof value);
  return value;
}
}  // namespace

uint8_t Attributes::u8(uint16_t type, uint8_t fallback) const { return number(bytes(type), fallback); }
uint16_t Attributes::u16(uint16_t type, uint16_t fallback) const { return number(bytes(type), fallback); }
uint32_t Attributes::u32(uint16_t type, uint32_t fallback) const { return number(bytes(type), fallback); }
uint64_t Attributes::u64(uint16_t type, uint64_t fallback) const { return number(bytes(type), fallback); }
Attributes Attributes::nested(uint16_t type) const {
  auto b = bytes(type);
  return Attributes(b.data(), b.size());
}

}  // namespace fairlead::kernel
