#include "cluster/channel.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include <nlohmann/json.hpp>

namespace fairlead::cluster {
namespace {

constexpr size_t kHeader = 4;

class PlainTransport : public Transport {
 public:
  explicit PlainTransport(Fd fd) : fd_(std::move(fd)) {}

  Result<size_t> read(char* to, size_t size, int64_t deadline, const StopSignal& stop) override {
    return repeat(POLLIN, deadline, stop, "read from", [&] { return ::recv(fd_.get(), to, size, MSG_DONTWAIT); });
  }
  Result<size_t> write(const char* from, size_t size, int64_t deadline, const StopSignal& stop) override {
    return repeat(POLLOUT, deadline, stop, "write to",
                  [&] { return ::send(fd_.get(), from, size, MSG_DONTWAIT | MSG_NOSIGNAL); });
  }

 private:
  template <class Call>
  Result<size_t> repeat(short events, int64_t deadline, const StopSignal& stop, const char* verb, Call call) {
    for (;;) {
      ssize_t n = call();
      if (n >= 0) return static_cast<size_t>(n);
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return fail_errno(verb, "socket");
      FL_CHECK(wait_ready(fd_.get(), events, deadline, stop));
    }
  }
  Fd fd_;
};

}  // namespace

std::unique_ptr<Transport> plain_transport(Fd fd) { return std::make_unique<PlainTransport>(std::move(fd)); }

Result<void> Channel::send(const Json& message, int timeout_ms) {
  std::string body = dump_json(message);
  if (body.size() > kMaxMessage)
    return fail("message: " + std::to_string(body.size()) + " bytes are too many", EMSGSIZE);
  std::string text;
  text.reserve(kHeader + body.size());
  for (int shift : {24, 16, 8, 0}) text += static_cast<char>(body.size() >> shift & 0xff);
  text += body;
  const int64_t deadline = now_ms() + timeout_ms;
  for (size_t done = 0; done < text.size();) {
    FL_TRY(size_t n, transport_->write(text.data() + done, text.size() - done, deadline, *stop_));
    if (n == 0) return fail("the peer has closed the connection", EPIPE);
    done += n;
  }
  return {};
}

// false: closed before the first byte.
Result<bool> Channel::read_all(std::string& to, size_t size, int64_t deadline) {
  to.resize(size);
  for (size_t done = 0; done < size;) {
    FL_TRY(size_t n, transport_->read(to.data() + done, size - done, deadline, *stop_));
    if (n == 0 && done == 0) return false;
    if (n == 0) return fail("the peer closed the connection inside a message", ECONNRESET);
    done += n;
  }
  return true;
}

Result<std::optional<Json>> Channel::receive(size_t max_bytes, int timeout_ms) {
  const int64_t deadline = now_ms() + timeout_ms;
  std::string text;
  FL_TRY(bool open, read_all(text, kHeader, deadline));
  if (!open) return std::nullopt;
  size_t size = 0;
  for (unsigned char byte : text) size = size << 8 | byte;
  if (size > max_bytes)
    return fail(
        "message: " + std::to_string(size) + " bytes, at most " + std::to_string(max_bytes) + " are expected here",
        EMSGSIZE);
  FL_TRY(open, read_all(text, size, deadline));
  if (!open && size) return fail("the peer closed the connection inside a message", ECONNRESET);
  FL_TRY(Json message, parse_json(text, "message", {kMaxMessage, 16}));
  if (!message.is_object()) return fail("message: it is no object", EBADMSG);
  return std::optional<Json>(std::move(message));
}

Result<Json> Channel::ask(const Json& message, int timeout_ms, size_t max_bytes) {
  FL_CHECK(send(message, timeout_ms));
  FL_TRY(auto answer, receive(max_bytes, timeout_ms));
  if (!answer) return fail("the peer closed the connection", ECONNRESET);
  if (answer->contains("error")) return fail(text_at(*answer, "error"), static_cast<int>(number_at(*answer, "errno")));
  return std::move(*answer);
}

std::string text_at(const Json& message, const char* key) {
  auto found = message.find(key);
  return found != message.end() && found->is_string() ? found->get<std::string>() : std::string();
}

int64_t number_at(const Json& message, const char* key, int64_t missing) {
  auto found = message.find(key);
  return found != message.end() && found->is_number_integer() ? found->get<int64_t>() : missing;
}

int64_t time_at(const Json& message, const char* key, int64_t missing) {
  return std::clamp<int64_t>(number_at(message, key, missing), 0, int64_t{1} << 52);
}

bool flag_at(const Json& message, const char* key) {
  auto found = message.find(key);
  return found != message.end() && found->is_boolean() && found->get<bool>();
}

}  // namespace fairlead::cluster
