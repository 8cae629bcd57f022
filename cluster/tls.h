// TLS 1.3 between members of a cluster, and for hosts that join it.
//
// A member proves itself by its certificate. A host that joins has none; it proves itself by the key that comes from
// its token (TLS 1.3 external PSK with ECDHE). Who can do neither does not get through the handshake, so that no
// message of a stranger is ever read. Threads: TlsServer may be used by all threads at once. Errors name the reason in
// words for people.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "cluster/channel.h"
#include "cluster/pki.h"
#include "cluster/token.h"

namespace fairlead::cluster {

struct Credentials {
  std::string own;          // PEM: private key, then the certificate and what links it to an authority
  std::string authorities;  // PEM: the roots that are trusted
};

struct Secured {
  std::unique_ptr<Transport> transport;
  std::optional<CertificateInfo> certificate;  // of a member; it may have expired
  std::string token;                           // name of the token, of a host that joins
  std::string binding;                         // 32 bytes that only the two ends of this connection know
};

class TlsServer {
 public:
  // keys: the handshake key of a token that may be used now, by its name; an Error when that cannot be said now. Called
  // by the threads that call accept().
  using Keys = std::function<Result<std::optional<std::string>>(const std::string& token)>;
  static Result<std::unique_ptr<TlsServer>> make(const Credentials& credentials, Keys keys);
  virtual ~TlsServer() = default;
  virtual Result<Secured> accept(Fd socket, int timeout_ms, const StopSignal& stop) = 0;
};

// To a manager of the cluster, as a member.
Result<Secured> secure_member(Fd socket, const Credentials& credentials, const std::string& cluster, int timeout_ms,
                              const StopSignal& stop);
// To a manager, with a token.
Result<Secured> secure_joiner(Fd socket, const Token& token, int timeout_ms, const StopSignal& stop);

}  // namespace fairlead::cluster
