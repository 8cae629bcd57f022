// libFuzzer: what comes through a connection is read or refused, whatever it is: messages behind their length, tokens,
// what a manager says to a host that joins, certificates and requests, the ports a preflight asks for. The first byte
// chooses the reader.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

#include "cluster/channel.h"
#include "cluster/encoding.h"
#include "cluster/join_hello.h"
#include "cluster/pki.h"
#include "cluster/preflight.h"
#include "cluster/token.h"

namespace {

using namespace fairlead;           // NOLINT(google-build-using-namespace)
using namespace fairlead::cluster;  // NOLINT(google-build-using-namespace)

// Gives what it has in pieces of the length the first byte says, then closes.
class Bytes : public Transport {
 public:
  explicit Bytes(std::string bytes)
      : bytes_(std::move(bytes)), piece_(bytes_.empty() ? 1 : 1 + static_cast<unsigned char>(bytes_[0])) {}
  Result<size_t> read(char* to, size_t size, int64_t, const StopSignal&) override {
    size_t n = std::min({size, piece_, bytes_.size() - at_});
    memcpy(to, bytes_.data() + at_, n);
    at_ += n;
    return n;
  }
  Result<size_t> write(const char*, size_t size, int64_t, const StopSignal&) override { return size; }

 private:
  std::string bytes_;
  size_t piece_, at_ = 1;
};

void try_messages(const std::string& text) {
  if (text.empty()) return;
  static const StopSignal never;
  Channel channel(std::make_unique<Bytes>(text), never);
  for (;;) {
    auto message = channel.receive(kSmallMessage, 1000);
    if (!message || !*message) return;
    if (!(*message)->is_object()) std::abort();
    (void)text_at(**message, "op");
    (void)number_at(**message, "revision");
    (void)flag_at(**message, "complete");
  }
}

void try_hello(const std::string& text) {
  auto json = parse_json(text, "x");
  if (json && json->is_object()) (void)check_hello(*json, make_token(std::string(32, 'x')), std::string(32, 'y'), 1000);
}

void try_certificate(const std::string& text) {
  auto info = inspect_certificate(text);
  if (info && (info->identity.name.empty() || info->identity.name.find('/') != std::string::npos)) std::abort();
  (void)authority_id(text);
  (void)certificate_digest(text);
  (void)first_certificate(text);
  (void)request_key_digest(text);
  (void)parse_authority(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 7) {
    case 0:
      try_messages(text);
      break;
    case 6:
      if (auto json = parse_json(text, "x"); json && json->is_object()) {
        auto ports = ports_at(*json);
        if (ports && (ports->vxlan.size() > kMaxPreflightPorts || !ports_at({{"ports", to_json(*ports)}})))
          std::abort();
      }
      break;
    case 1:
      if (auto token = parse_token(text); token && !parse_token(to_text(*token))) std::abort();
      break;
    case 2:
      try_hello(text);
      break;
    case 3:
      try_certificate(text);
      break;
    case 4:  // DER, without the fuzzer having to find out base64
      for (const char* what : {"CERTIFICATE", "CERTIFICATE REQUEST"})
        try_certificate(std::string("-----BEGIN ") + what + "-----\n" + to_base64(text) + "\n-----END " + what +
                        "-----\n");
      break;
    default:
      if (auto bytes = from_base64(text); bytes && to_base64(*bytes) != text) std::abort();
      if (auto bytes = from_base32(text); bytes && !from_base32(to_base32(*bytes))) std::abort();
  }
  return 0;
}
