// A conversation in messages: JSON objects, each behind its length (4 bytes, big endian), over TLS or a Unix socket.
//
// Instead of HTTP, because nothing of HTTP is needed here, and its parsers are where the holes are
// (docs/decisions/0024). A message longer than what the reader expects ends the conversation before it is read.
// Threads: one at a time. Failure: after an Error the channel is of no use. Errors: ETIMEDOUT, ECANCELED (stop).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/json.h"
#include "base/result.h"
#include "cluster/net.h"

namespace fairlead::cluster {

inline constexpr size_t kSmallMessage = 64 << 10, kMaxMessage = 4 << 20;

class Transport {
 public:
  virtual ~Transport() = default;
  // Some bytes, at least one; 0 when the peer has closed.
  virtual Result<size_t> read(char* to, size_t size, int64_t deadline_ms, const StopSignal& stop) = 0;
  virtual Result<size_t> write(const char* from, size_t size, int64_t deadline_ms, const StopSignal& stop) = 0;
};
std::unique_ptr<Transport> plain_transport(Fd fd);

class Channel {
 public:
  // stop must outlive the channel.
  Channel(std::unique_ptr<Transport> transport, const StopSignal& stop)
      : transport_(std::move(transport)), stop_(&stop) {}

  Result<void> send(const Json& message, int timeout_ms);
  // nullopt: the peer has closed. Always an object.
  Result<std::optional<Json>> receive(size_t max_bytes, int timeout_ms);
  // send() and the one answer to it. An answer {"error":TEXT} is an Error with that text.
  Result<Json> ask(const Json& message, int timeout_ms, size_t max_bytes = kMaxMessage);

 private:
  Result<bool> read_all(std::string& to, size_t size, int64_t deadline_ms);
  std::unique_ptr<Transport> transport_;
  const StopSignal* stop_;
};

// Fields of a message, checked: the text or number there, or what a missing one means.
std::string text_at(const Json& message, const char* key);
int64_t number_at(const Json& message, const char* key, int64_t missing = 0);
// A time the other end tells (seconds or milliseconds since 1970), within what can be calculated with.
int64_t time_at(const Json& message, const char* key, int64_t missing = 0);
bool flag_at(const Json& message, const char* key);

}  // namespace fairlead::cluster
